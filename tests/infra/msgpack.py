"""MessagePack as far as Terraform speaks it with its providers, with cty's unknown values.

Source: github.com/msgpack/msgpack/blob/master/spec.md; github.com/zclconf/go-cty, docs/json-and-msgpack.md.
"""

import struct
from typing import Any

UNKNOWN = object()
"""What only Google could tell, and only after `apply`."""

FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
LENGTHS = {0xC4: (">B", "bin"), 0xC5: (">H", "bin"), 0xC6: (">I", "bin")}
LENGTHS |= {0xD9: (">B", "str"), 0xDA: (">H", "str"), 0xDB: (">I", "str")}
LENGTHS |= {0xDC: (">H", "array"), 0xDD: (">I", "array"), 0xDE: (">H", "map"), 0xDF: (">I", "map")}
LENGTHS |= {0xC7: (">B", "ext"), 0xC8: (">H", "ext"), 0xC9: (">I", "ext")}


def pack(value: Any) -> bytes:
    """Encode a value."""
    if value is UNKNOWN:
        return b"\xd4\x00\x00"
    if value is None or value is True or value is False:
        return bytes([next(code for code, fixed in FIXED.items() if fixed is value)])
    if isinstance(value, str):
        data = value.encode()
        return struct.pack(">BI", 0xDB, len(data)) + data
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, dict):
        pairs = b"".join(pack(name) + pack(item) for name, item in value.items())
        return struct.pack(">BI", 0xDF, len(value)) + pairs
    return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))


def unpack(data: bytes) -> Any:
    """Decode one value."""
    return _Reader(data).value()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self) -> Any:
        code = self.take(1)[0]
        if code in FIXED:
            return FIXED[code]
        if code in NUMBERS:
            return self.number(NUMBERS[code])
        if code in LENGTHS:
            form, kind = LENGTHS[code]
            return self.sized(kind, self.number(form))
        if code <= 0x7F or code >= 0xE0:
            return code if code <= 0x7F else code - 0x100
        if 0xD4 <= code <= 0xD8:
            return self.sized("ext", 1 << (code - 0xD4))
        if code <= 0x8F:
            return self.sized("map", code & 0x0F)
        return self.sized("array", code & 0x0F) if code <= 0x9F else self.sized("str", code & 0x1F)

    def sized(self, kind: str, size: int) -> Any:
        if kind == "ext":
            self.take(1 + size)
            return UNKNOWN
        if kind == "map":
            return {self.value(): self.value() for _ in range(size)}
        if kind == "array":
            return [self.value() for _ in range(size)]
        return self.take(size).decode() if kind == "str" else self.take(size)
