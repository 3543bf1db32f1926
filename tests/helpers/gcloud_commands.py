"""The options of gcloud's commands, as far as the documentation uses them, by gcloud's own tree of commands.

gcloud is not on every machine. Where it is, this writes gcloud_commands.json again after a page has got a new command:

    python -m tests.helpers.gcloud_commands "$(gcloud info --format 'value(installation.sdk_root)')"

Source: Google Cloud SDK, `data/cli/gcloud_completions.py`, `STATIC_COMPLETION_CLI_TREE`.
"""

import json
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")


def load() -> dict[str, Any]:
    """What was recorded: `everywhere`, and the options of `commands`."""
    document: dict[str, Any] = json.loads(FILE.read_text())
    return document


def record(sdk: Path, written: Iterable[list[str]]) -> dict[str, Any]:
    """Look up each command that is written down."""
    tree = runpy.run_path(str(sdk / "data/cli/gcloud_completions.py"))["STATIC_COMPLETION_CLI_TREE"]
    found = {}
    for words in written:
        node, path = tree, []
        for word in words[1:]:
            if word not in node.get("commands", {}):
                break
            node = node["commands"][word]
            path.append(word)
        found[" ".join(path)] = sorted(node["flags"])
    version = (sdk / "VERSION").read_text().strip()
    return {
        "source": f"Google Cloud SDK {version}, data/cli/gcloud_completions.py",
        "everywhere": sorted(tree["flags"]),
        "commands": dict(sorted(found.items())),
    }


if __name__ == "__main__":
    from tests.test_docs import all_commands

    document = record(Path(sys.argv[1]), (words for _, words in all_commands("gcloud")))
    FILE.write_text(json.dumps(document, indent=0) + "\n")
