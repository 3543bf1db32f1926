"""`python -m tests.mutants`: is a small fault in the contract or the registry found by a test, wherever it is?

Each run begins anew, so that nothing counts that a test of yesterday found. `pyproject.toml` says what is mutated and
by which tests. The folder stays for who asks about a mutant afterwards:

    cd .mutants && ../.venv/bin/mutmut show NAME      # what it changes
    cd .mutants && ../.venv/bin/mutmut run NAME       # whether a test finds it now

Source: mutmut (https://mutmut.readthedocs.io).
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".mutants"

AT_LEAST = 0.85
"""The share of mutants that a test must find. One that never ends is counted apart, as if no test had found it."""


def main() -> int:
    """Test each mutant and say which live; returns 1 where these are too many."""
    started_s = time.perf_counter()
    _make_folder()
    for step in ("run", "results", "export-cicd-stats"):
        subprocess.run([Path(sys.executable).with_name("mutmut"), step], cwd=FOLDER, check=True)
    counts: dict[str, int] = json.loads((FOLDER / "mutants/mutmut-cicd-stats.json").read_text())
    killed = counts["killed"] / counts["total"]
    console = Console(soft_wrap=True, highlight=False)
    console.print(", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count))
    console.print(f"{killed:.1%} killed, at least {AT_LEAST:.0%} expected, {time.perf_counter() - started_s:.0f} s")
    return 1 if killed < AT_LEAST else 0


def _make_folder() -> None:
    """A folder in which our code lies where mutmut looks for it: of any but `src` it would run the original."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name, target in {"src": "functions", "tests": "tests", "pyproject.toml": "pyproject.toml"}.items():
        (FOLDER / name).symlink_to(ROOT / target)


if __name__ == "__main__":
    sys.exit(main())
