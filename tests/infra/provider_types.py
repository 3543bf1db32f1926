"""The arguments that Terraform's providers know, as far as infra/gcp uses their resources, with their types.

The providers themselves come from a registry that tests cannot reach. Their types are published for TypeScript, too,
inside wheels of PyPI, from where this makes google_provider.json:

    pip download --no-deps cdktn-provider-google==21.1.0 cdktn-provider-google-beta==21.1.0 cdktn-provider-time==14.0.2
    python -m tests.infra.provider_types *.whl

Source: PyPI `cdktn-provider-google` 21.1.0, `lib/*/index.d.ts` in its package for jsii, of hashicorp/google 8.7.0;
likewise google-beta 8.7.0 and time 0.14.2; MPL-2.0.
"""

import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.infra.terraform import Module, read_module

FILE = Path(__file__).with_name("google_provider.json")
GCP = Path(__file__).parents[2] / "infra/gcp"

INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ROOT = re.compile(r"export interface (\w+)Config extends cdktn\.TerraformMetaArguments")
CLASS = re.compile(r"^export declare class (\w+) [^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
RESOURCE = re.compile(r'static readonly tfResourceType = "(\w+)"')
ARGUMENT = re.compile(r"#(\w+) \w+#\w+\}.*?readonly \w+(\??): (\{.*?\}|[^;\n]+)", re.DOTALL)
GETTER = re.compile(r"^    get (\w+)\(\): (\{.*?\}|[^;\n]+)", re.MULTILINE | re.DOTALL)

KINDS = {"string": "string", "number": "number", "boolean": "bool", "cdktn.IResolvable": "bool"}
KINDS |= {"string[]": "list(string)", "number[]": "list(number)", "cdktn.StringMap": "map(string)"}

Arguments = dict[str, Any]
"""By name: the type of a plain argument, with a `!` if it is required; a block's own arguments."""


def read_types() -> dict[str, dict[str, Any]]:
    """Return the `provider`, `arguments` and computed `attributes` of each resource (or `data.` source)."""
    types: dict[str, dict[str, Any]] = json.loads(FILE.read_text())["resources"]
    return types


def extract(wheels: list[Path], module: Module) -> dict[str, Any]:
    """The file's document, from the wheels, for the resources that a module uses."""
    names = {block.kind for block in module.resources} | {f"data.{block.kind}" for block in module.data}
    sources, resources = [], {}
    for wheel in sorted(wheels):
        files = _read_package(wheel)
        described = json.loads(files.pop("package.json"))
        provider = described["cdktn"]["provider"]
        sources.append(f"{described['name']} {described['version']}, of {provider['name']} {provider['version']}")
        for path, text in files.items():
            name = ("data." if path.startswith("data-") else "") + "".join(RESOURCE.findall(text)[:1])
            if name in names and name not in resources:
                resources[name] = {"provider": provider["name"].rpartition("/")[2], **_of_resource(text)}
    assert names == set(resources), names - set(resources)
    return {"sources": sources, "resources": resources}


def _read_package(wheel: Path) -> dict[str, str]:
    """The types of a wheel's resources by their folders, and its package.json."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (each for each in outer.namelist() if each.endswith(".jsii.tgz"))
        with outer.open(name) as stream, tarfile.open(fileobj=stream) as inner:
            return {
                member.name.removeprefix("package/").removeprefix("lib/").removesuffix("/index.d.ts"): _read(
                    inner, member
                )
                for member in inner
                if member.name == "package/package.json" or re.fullmatch(r"package/lib/[^/]+/index\.d\.ts", member.name)
            }


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode()


def _of_resource(text: str) -> dict[str, Any]:
    interfaces = dict(INTERFACE.findall(text))
    classes = dict(CLASS.findall(text))
    root = ROOT.search(text)
    assert root, text[:500]
    own = root[1]
    arguments = _arguments(interfaces, f"{own}Config")
    return {"arguments": arguments, "attributes": dict(sorted(_attributes(classes, own, arguments)))}


def _arguments(interfaces: dict[str, str], name: str) -> Arguments:
    found: Arguments = {}
    for argument, optional, kind in ARGUMENT.findall(interfaces[name]):
        block = re.match(r"(\w+)", kind)
        is_block = block is not None and block[1] in interfaces
        found[argument] = _arguments(interfaces, block[1]) if block and is_block else _kind(kind) + "!" * (not optional)
    return found


def _kind(text: str) -> str:
    """A type of TypeScript as Terraform writes it."""
    first = text.split(" | ", maxsplit=1)[0].strip()
    if first.startswith("{"):
        return "map(string)"
    return KINDS.get(first, "list(map(string))")  # of lists of objects nothing here reads a field


def _attributes(classes: dict[str, str], own: str, arguments: Arguments) -> Iterator[tuple[str, str]]:
    """What is computed: of the resource itself, and `block.name` of its blocks."""
    yield from _computed(classes[own], arguments)
    for name, block in arguments.items():
        reference = f"{own}{''.join(part.capitalize() for part in name.split('_'))}OutputReference"
        if isinstance(block, dict) and reference in classes:
            yield from ((f"{name}.{computed}", kind) for computed, kind in _computed(classes[reference], block))


def _computed(body: str, arguments: Arguments) -> Iterator[tuple[str, str]]:
    for getter, kind in GETTER.findall(body):
        name = re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", getter)
        if name not in arguments and not name.endswith("_input") and name != "internal_value":
            yield name, _kind(kind)


if __name__ == "__main__":
    found = extract([Path(wheel) for wheel in sys.argv[1:]], read_module(GCP))
    FILE.write_text(f"{json.dumps(found, separators=(',', ':'), sort_keys=True)}\n")
