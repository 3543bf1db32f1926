"""The arguments that Terraform's Google provider knows, as far as infra/gcp uses its resources.

`terraform validate` needs the provider itself, which tests without network have not. Its types are published for
TypeScript, too, from where this makes google_provider.json:

    npm pack @cdktf/provider-google@16.12.1 && tar xzf cdktf-provider-google-16.12.1.tgz
    python -m tests.infra.provider_types package

Source: npm `@cdktf/provider-google` 16.12.1, `lib/*/index.d.ts`, of hashicorp/google 6.50.0; MPL-2.0.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.infra.terraform import Module, read_module

FILE = Path(__file__).with_name("google_provider.json")
GCP = Path(__file__).parents[2] / "infra/gcp"

INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ROOT = re.compile(r"export interface (\w+)Config extends cdktf\.TerraformMetaArguments")
CLASS = re.compile(r"^export declare class (\w+) [^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ARGUMENT = re.compile(r"#(\w+) \w+#\w+\}.*?readonly \w+(\??): ([^;\n]+)", re.DOTALL)
GETTER = re.compile(r"^    get (\w+)\(\)", re.MULTILINE)

Arguments = dict[str, Any]
"""By name: whether a plain argument is required; a block's own arguments."""


def read_types() -> dict[str, dict[str, Any]]:
    """What the file says of each resource (or `data.` source): its `arguments`, and its computed `attributes`."""
    types: dict[str, dict[str, Any]] = json.loads(FILE.read_text())["resources"]
    return types


def extract(package: Path, module: Module) -> dict[str, Any]:
    """The file's document, from the npm package, for the resources that a module uses."""
    described = json.loads((package / "package.json").read_text())
    provider = described["cdktf"]["provider"]
    names = sorted({block.kind for block in module.resources} | {f"data.{block.kind}" for block in module.data})
    return {
        "source": f"npm {described['name']} {described['version']}, lib/*/index.d.ts",
        "provider": f"{provider['name']} {provider['version']}",
        "resources": {name: _of_resource(package, name) for name in names},
    }


def _of_resource(package: Path, name: str) -> dict[str, Any]:
    folder = name.replace("data.", "data-") if name.startswith("data.") else name.removeprefix("google_")
    text = (package / "lib" / folder.replace("_", "-") / "index.d.ts").read_text()
    interfaces = dict(INTERFACE.findall(text))
    classes = dict(CLASS.findall(text))
    root = ROOT.search(text)
    assert root, name
    own = root[1]
    arguments = _arguments(interfaces, f"{own}Config")
    return {"arguments": arguments, "attributes": sorted(_attributes(classes, own, arguments))}


def _arguments(interfaces: dict[str, str], name: str) -> Arguments:
    found: Arguments = {}
    for argument, optional, kind in ARGUMENT.findall(interfaces[name]):
        block = re.match(r"(\w+)", kind)
        is_block = block is not None and block[1] in interfaces
        found[argument] = _arguments(interfaces, block[1]) if block and is_block else not optional
    return found


def _attributes(classes: dict[str, str], own: str, arguments: Arguments) -> Iterator[str]:
    """What is computed: of the resource itself, and `block.name` of its blocks."""
    yield from _computed(classes[own], arguments)
    for name, block in arguments.items():
        reference = f"{own}{''.join(part.capitalize() for part in name.split('_'))}OutputReference"
        if isinstance(block, dict) and reference in classes:
            yield from (f"{name}.{computed}" for computed in _computed(classes[reference], block))


def _computed(body: str, arguments: Arguments) -> Iterator[str]:
    for getter in GETTER.findall(body):
        name = re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", getter)
        if name not in arguments and not name.endswith("_input") and name != "internal_value":
            yield name


if __name__ == "__main__":
    found = extract(Path(sys.argv[1]), read_module(GCP))
    FILE.write_text(f"{json.dumps(found, separators=(',', ':'), sort_keys=True)}\n")
