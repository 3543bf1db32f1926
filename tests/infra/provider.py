"""A provider of Google's resources that Terraform itself talks to, without Google: the real types, and no cloud.

The types are the published ones (provider_types.py), so `validate` and `plan` are Terraform's own. What only Google
could tell is unknown until `apply`, which makes something up; the state is Terraform's. No check that the real provider
makes by code is here, nor any of Google's API.

Source: github.com/hashicorp/terraform, docs/plugin-protocol/tfplugin5.9.proto; go-plugin's TF_REATTACH_PROVIDERS.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import grpc
import msgpack

from tests.infra.provider_types import GCP, read_types
from tests.infra.terraform import ENVIRONMENT

TERRAFORM = shutil.which("terraform")

IN_LIST = 2
"""Schema.NestedBlock.NestingMode: the provider has most of its blocks as lists."""

TIMEOUT_S = 120

UNKNOWN = msgpack.ExtType(0, b"\0")
"""What only Google could tell, and only after `apply`, as Terraform writes it (go-cty, docs/json-and-msgpack.md)."""

NOT_EMPTY = "Error trying to delete bucket photos containing objects without `force_destroy` set to true"
"""What Google's provider says of a bucket with objects in it; here every bucket has some."""

TYPES = read_types()

REQUIRED = {"project": "my-project", "region": "europe-west1", "source_zip": "onnxlet-gcp.zip"}
"""The variables without a default."""

Types = Mapping[str, Any]
Fields = dict[int, list[Any]]


# ---------------------------------------------------------------------- Protocol buffers


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _message(*fields: tuple[int, bytes | str | int]) -> bytes:
    """Encode a message of its fields; those that are empty are left out."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += _varint(number << 3) + _varint(value) if value else b""
        else:
            data = value.encode() if isinstance(value, str) else value
            found += _varint(number << 3 | 2) + _varint(len(data)) + data
    return found


def _fields(data: bytes) -> Fields:
    """Decode a message into its fields."""
    found: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            found.setdefault(key >> 3, []).append(data[at : at + size])
            at += size
        else:
            found.setdefault(key >> 3, []).append(varint())
    return found


def _value(fields: Fields, number: int) -> Any:
    return msgpack.unpackb(_fields(fields[number][0])[1][0], ext_hook=lambda _code, _data: UNKNOWN)


def _dynamic(value: Any) -> bytes:
    return _message((1, msgpack.packb(value)))


# ---------------------------------------------------------------------- Schemas


def _cty(kind: str) -> str:
    """The type of an argument as Terraform's JSON has it: list(string) is ["list","string"]."""
    outer, _, inner = kind.partition("(")
    return f'["{outer}",{_cty(inner[:-1])}]' if inner else json.dumps(outer)


def _block(types: Types, path: str = "") -> bytes:
    """A block: its arguments, what is computed in it, and the blocks inside."""
    fields: list[tuple[int, bytes]] = []
    for name, kind in types["arguments"].items():
        if isinstance(kind, dict):
            inner = {"arguments": kind, "attributes": types["attributes"]}
            fields.append((3, _message((1, name), (2, _block(inner, f"{path}{name}.")), (3, IN_LIST))))
        else:
            is_required = kind.endswith("!")
            is_computed = f"{path}{name}" == "id"
            flags = ((4, int(is_required)), (5, int(not is_required)), (6, int(is_computed)))
            fields.append((2, _message((1, name), (2, _cty(kind.rstrip("!"))), *flags)))
    for name, kind in _computed(types, path).items():
        fields.append((2, _message((1, name), (2, _cty(kind)), (6, 1))))
    return _message(*fields)


def _computed(types: Types, path: str) -> dict[str, str]:
    """What a block computes, by name: `service_config.uri` is `uri` of the block service_config."""
    names = {name: kind for name, kind in types["attributes"].items() if name.startswith(path)}
    return {name[len(path) :]: kind for name, kind in names.items() if "." not in name[len(path) :]}


MADE_UP: Mapping[str, Any] = {"bool": False, "number": 1, "map(string)": {}}
"""What a computed attribute is that is no string and no list."""


def _fill(types: Types, value: dict[str, Any], make: Callable[[str, str], Any], path: str = "") -> dict[str, Any]:
    """A resource with its computed attributes, where it has none yet or they are unknown."""
    found = dict(value)
    computed = {**_computed(types, path), **({} if path else {"id": "string"})}
    for name, kind in computed.items():
        if found.get(name) is None or found[name] == UNKNOWN:
            found[name] = make(f"{path}{name}", kind)
    for name, kind in types["arguments"].items():
        if isinstance(kind, dict):
            inner = {"arguments": kind, "attributes": types["attributes"]}
            found[name] = [_fill(inner, each, make, f"{path}{name}.") for each in found.get(name) or []]
    return found


def _make_up(path: str, kind: str, name: str) -> Any:
    return f"{path} of {name}" if kind == "string" else MADE_UP.get(kind, [])


# ---------------------------------------------------------------------- The provider


class _Provider:
    """One provider of those that the types are of."""

    def __init__(self, name: str, facts: Mapping[str, Mapping[str, Any]]) -> None:
        self.facts = facts
        self.types = {kind: types for kind, types in TYPES.items() if types["provider"] == name}

    def handler(self) -> Any:
        """Return what a gRPC server calls: for each method of the protocol `on_` and its name."""
        names = [name.removeprefix("on_") for name in dir(self) if name.startswith("on_")]
        methods = {name: grpc.unary_unary_rpc_method_handler(self._method(name)) for name in names}
        return grpc.method_handlers_generic_handler("tfplugin5.Provider", methods)

    def _method(self, name: str) -> Callable[[bytes, Any], bytes]:
        answer = getattr(self, f"on_{name}")
        return lambda request, _context: answer(_fields(request))

    def on_GetSchema(self, _: Fields) -> bytes:
        fields = [(1, _message((2, _block(PROVIDER))))]
        for kind, types in self.types.items():
            number, name = (3, kind.removeprefix("data.")) if kind.startswith("data.") else (2, kind)
            fields.append((number, _message((1, name), (2, _message((2, _block(types)))))))
        return _message(*fields)

    def on_PrepareProviderConfig(self, request: Fields) -> bytes:
        return _message((1, request[1][0]))

    def on_ValidateResourceTypeConfig(self, _: Fields) -> bytes:
        return b""

    on_ValidateDataSourceConfig = on_Configure = on_Stop = on_ValidateResourceTypeConfig

    def on_UpgradeResourceState(self, request: Fields) -> bytes:
        raw = _fields(request[3][0])[1][0]
        return _message((1, _message((2, raw))))

    def on_ReadResource(self, request: Fields) -> bytes:
        return _message((1, request[2][0]))

    def on_PlanResourceChange(self, request: Fields) -> bytes:
        kind, prior, proposed = request[1][0].decode(), _value(request, 2), _value(request, 3)
        if proposed is None:
            return _message((1, _dynamic(None)))
        planned = _fill(self.types[kind], proposed, lambda _path, _kind: UNKNOWN)
        replaced = [name for name in _replacing(kind, planned) if prior is not None and prior[name] != planned[name]]
        return _message((1, _dynamic(planned)), *((2, _message((1, _message((1, name))))) for name in replaced), (5, 1))

    def on_ApplyResourceChange(self, request: Fields) -> bytes:
        kind, planned = request[1][0].decode(), _value(request, 3)
        if kind == "google_storage_bucket" and planned is None and not _value(request, 2)["force_destroy"]:
            return _message((1, request[2][0]), (3, _message((1, 1), (2, NOT_EMPTY))))
        if planned is not None:
            named = planned.get("name") or planned.get("account_id") or planned.get("role") or kind
            planned = _fill(self.types[kind], planned, lambda path, of: _make_up(path, of, named))
        return _message((1, _dynamic(planned)), (4, 1))

    def on_ReadDataSource(self, request: Fields) -> bytes:
        kind, config = f"data.{request[1][0].decode()}", _value(request, 2)
        found = {**config, **self.facts.get(kind, {})}
        return _message((1, _dynamic(_fill(self.types[kind], found, lambda path, of: _make_up(path, of, kind)))))


PROVIDER: Types = {"arguments": {"project": "string", "region": "string"}, "attributes": {}}
"""The configuration of a provider, as far as ours is configured."""


def _replacing(kind: str, value: Mapping[str, Any]) -> Iterator[str]:
    """Which arguments Google's and HashiCorp's providers do not change, but replace what has them."""
    if "_iam_member" in kind or kind == "google_storage_notification":
        yield from (name for name in value if name not in {"etag", "id", "timeouts"})
    elif kind == "time_sleep":
        yield "triggers"
    elif kind == "google_storage_bucket":
        yield from ("name", "location")
    elif kind == "google_artifact_registry_repository":
        yield from ("location", "repository_id", "kms_key_name")


@contextmanager
def serving(facts: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Iterator[dict[str, str]]:
    """Serve the providers; gives the environment by which Terraform finds them.

    Args:
        facts: What a data source of a kind tells, in place of what is made up.
    """
    servers, places = [], {}
    for name in sorted({types["provider"] for types in TYPES.values()}):
        server = grpc.server(ThreadPoolExecutor(16), handlers=(_Provider(name, facts).handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
        places[f"registry.terraform.io/hashicorp/{name}"] = {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": address,
        }
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps(places)}
    finally:
        for server in servers:
            server.stop(None)


@dataclass(frozen=True)
class Deployment:
    """A copy of infra/gcp with a state of its own."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str, text: str = "", **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run Terraform for a deployer's variables."""
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(REQUIRED | variables))
        return subprocess.run(
            [str(TERRAFORM), *command, *([] if command[0] == "console" else ["-no-color"])],
            input=text,
            cwd=self.folder,
            env={**ENVIRONMENT, **self.environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    def console(self, expression: str, **variables: Any) -> Any:
        """Return what an expression comes to, with the resources as they were applied."""
        done = self.run("console", text=f"jsonencode({expression})\n", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(json.loads(done.stdout))

    def apply(self, **variables: Any) -> None:
        """Make what the variables say."""
        done = self.run("apply", "-auto-approve", "-input=false", **variables)
        assert done.returncode == 0, done.stderr

    def changes(self, **variables: Any) -> dict[str, Mapping[str, Any]]:
        """Plan a deploy: each resource's `actions`, and what it is `after` them as far as that is known."""
        done = self.run("plan", "-input=false", "-out=plan", **variables)
        assert done.returncode == 0, done.stderr
        shown = self.run("show", "-json", "plan", **variables)
        assert shown.returncode == 0, shown.stderr
        return {each["address"]: each["change"] for each in json.loads(shown.stdout)["resource_changes"]}

    def plan(self, **variables: Any) -> dict[str, list[str]]:
        """Plan a deploy: the actions on each resource on which there are any."""
        found = {address: change["actions"] for address, change in self.changes(**variables).items()}
        return {address: actions for address, actions in found.items() if actions != ["no-op"]}


def prepare(folder: Path, environment: Mapping[str, str]) -> Deployment:
    """Copy infra/gcp into a folder and initialise it."""
    for path in [*GCP.glob("*.tf"), *GCP.glob("*.yaml")]:
        shutil.copyfile(path, folder / path.name)
    (folder / str(REQUIRED["source_zip"])).write_bytes(b"a package")
    found = Deployment(folder, environment)
    done = found.run("init", "-input=false", "-backend=false")
    assert done.returncode == 0, done.stderr
    return found


if __name__ == "__main__":
    with TemporaryDirectory() as name, serving() as environment:
        done = prepare(Path(name), environment).run("validate")
    sys.stdout.write(f"{done.stdout}{done.stderr}")
    sys.exit(done.returncode)
