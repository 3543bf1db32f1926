"""Example: one payload in the form that a person has, which the page shows and `onnxlet predict NAME` asks about."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from onnxlet.contract.document import Document, to_json
from onnxlet.errors import ManifestError
from onnxlet.record import EMPTY, Record

SCHEMA = 1

MAX_BYTES = 256 * 1024
"""Size of a payload that may be an example."""


class Example(Record):
    """A payload that a version answers."""

    media_type: str
    body: bytes
    parameters: Mapping[str, Any] = EMPTY
    """The parameters of the request, such as the labels that a zero-shot classifier chooses from."""

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores."""
        body = b64encode(self.body).decode()
        return to_json(
            {"schema": SCHEMA, "media_type": self.media_type, "b64": body, "parameters": dict(self.parameters)}
        )

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Example:
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: a field is malformed.
        """
        document = Document.parse(data, path)
        document.require_schema(SCHEMA)
        try:
            body = b64decode(document.text("b64", at_most=2 * MAX_BYTES), validate=True)
        except (Base64Error, ValueError) as error:
            raise ManifestError(f"{path}.b64: expected base64 text, got {error}") from error
        return cls(document.text("media_type"), body, document.document("parameters").content)
