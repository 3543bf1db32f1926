"""A Terraform module as tests read it: its blocks, with quotes and interpolation marks taken off."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hcl2.api import loads

MARKS = ("__is_block__", "__comments__", "__inline_comments__")
"""What the parser adds."""

ENVIRONMENT = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
"""For Terraform itself: without what this machine configures, and without asking whether there is a newer one."""

WHOLE_EXPRESSION = re.compile(r"\$\{((?:(?!\$\{).)*)\}", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A resource or a data source."""

    kind: str
    name: str
    body: Mapping[str, Any]
    """Arguments; nested blocks are lists, those of `dynamic` blocks among them."""

    @property
    def address(self) -> str:
        """As Terraform writes it."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True)
class Module:
    """All files of a folder."""

    text: str
    resources: tuple[Block, ...]
    data: tuple[Block, ...]
    variables: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]
    locals: Mapping[str, Any]

    def of_kind(self, kind: str) -> list[Block]:
        """The resources of a kind."""
        return [block for block in self.resources if block.kind == kind]

    def resource(self, address: str) -> Block:
        """The resource at an address."""
        return next(block for block in self.resources if block.address == address)


def read_module(folder: Path) -> Module:
    """Read all .tf files of a folder."""
    texts = [path.read_text() for path in sorted(folder.glob("*.tf"))]
    documents = [_plain(loads(text)) for text in texts]
    return Module(
        text="\n".join(texts),
        resources=tuple(_blocks(documents, "resource")),
        data=tuple(_blocks(documents, "data")),
        variables=_named(documents, "variable"),
        outputs=_named(documents, "output"),
        locals={name: value for each in documents for body in each.get("locals", []) for name, value in body.items()},
    )


def _blocks(documents: list[dict[str, Any]], label: str) -> Iterator[Block]:
    for document in documents:
        for entry in document.get(label, []):
            for kind, named in entry.items():
                yield from (Block(kind, name, _with_dynamic(body)) for name, body in named.items())


def _named(documents: list[dict[str, Any]], label: str) -> dict[str, Any]:
    return {name: body for each in documents for entry in each.get(label, []) for name, body in entry.items()}


def _with_dynamic(body: dict[str, Any]) -> dict[str, Any]:
    """A body whose dynamic blocks are as if they were written out once."""
    made: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, list) and name != "dynamic":
            made[name] = [_with_dynamic(each) if isinstance(each, dict) else each for each in value]
        elif name != "dynamic":
            made[name] = value
    for entry in body.get("dynamic", []):
        for name, dynamic in entry.items():
            made[name] = [*made.get(name, []), *(_with_dynamic(each) for each in dynamic["content"])]
    return made


def _plain(value: Any) -> Any:
    """Without the parser's marks, quotes around strings, and `${}` around expressions."""
    if isinstance(value, dict):
        return {_plain(name): _plain(each) for name, each in value.items() if name not in MARKS}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, str):
        return value
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    whole = WHOLE_EXPRESSION.fullmatch(value)
    return whole[1] if whole else value
