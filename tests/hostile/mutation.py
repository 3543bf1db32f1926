"""Mutations of valid bytes, texts and documents: the same ones for the same random numbers."""

import json
import random
from copy import deepcopy
from typing import Any

WORDS = (b"null", b"-1", b"1e999", b'"x"', b"[]", b"{}", b"9" * 400, b"\xff\xfe", b'{"a":' * 60, b"[" * 2000, b"\0")

TEXTS = (
    "",
    "..",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\0",
    "a\0b",
    "a" * 10_240,
    "../" * 3000,
    "\u202e\ufeff",
    "e\u0301" * 100,
    "ｄｉｇｉｔｓ",
    "digits@live@live",
    "\\..\\",
    "//",
    "\r\nset-cookie: x",
    "٣",
    "😀",
    "-0",
    "1e400",
    "${jndi:x}",
)

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**39,
    2**63 - 1,
    2**64 - 1,
    -(2**63),
    0.5,
    1e308,
    [],
    {},
    [[]],
    [None],
    [0, 2**31],
    [1, 2**31, 0],
    [0, 1, 4],
    {"b64": "!"},
    {"b64": ""},
    {"image_path": "gs://x/../y"},
    [[1, 2], [3]],
    *TEXTS,
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few of them changed, cut, repeated, swapped or replaced."""
    for _ in range(chance.choice([1, 1, 2, 5])):
        start = chance.randrange(len(data) + 1)
        stop = min(len(data), start + chance.choice([0, 1, 4, 50]))
        piece = chance.choice([b"", chance.randbytes(stop - start), data[start:stop] * 2, *WORDS])
        data = data[:start] + piece + data[stop:]
    return data


def mutate_text(text: str, chance: random.Random) -> str:
    """The text with a hostile one in place of a part of it."""
    start = chance.randrange(len(text) + 1)
    stop = min(len(text), start + chance.choice([0, 1, 5, len(text)]))
    return text[:start] + chance.choice(TEXTS) + text[stop:]


def mutate_document(document: Any, chance: random.Random) -> Any:
    """The JSON document with one or several of its nodes replaced, removed, renamed or repeated."""
    changed = json.loads(json.dumps(document))
    for _ in range(chance.choice([1, 1, 1, 3])):
        changed = _mutate_node(changed, chance)
    return changed


def _mutate_node(node: Any, chance: random.Random) -> Any:
    """The node with a change somewhere in it."""
    if not isinstance(node, dict | list) or not node or chance.random() < 0.15:
        return deepcopy(chance.choice(VALUES))
    if isinstance(node, list):
        _mutate_list(node, chance)
    else:
        _mutate_object(node, chance)
    return node


def _mutate_list(items: list[Any], chance: random.Random) -> None:
    index = chance.randrange(len(items))
    match chance.randrange(8):
        case 0:
            del items[index]
        case 1:
            items.extend([items[index]] * chance.choice([1, 300]))
        case 2:
            items[index] = [items[index]]
        case _:
            items[index] = _mutate_node(items[index], chance)


def _mutate_object(fields: dict[str, Any], chance: random.Random) -> None:
    name = chance.choice(list(fields))
    match chance.randrange(8):
        case 0:
            del fields[name]
        case 1:
            fields[mutate_text(name, chance)] = fields.pop(name)
        case 2:
            fields[name] = [fields[name]]
        case _:
            fields[name] = _mutate_node(fields[name], chance)
