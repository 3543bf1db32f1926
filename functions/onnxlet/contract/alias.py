"""The alias: a movable name for a version, with the version's whole manifest and an append-only history."""

from dataclasses import asdict, dataclass
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.document import Document, to_json
from onnxlet.contract.manifest import Manifest

SCHEMA = 1
PUBLISH, PROMOTE, ROLLBACK = ACTIONS = ("publish", "promote", "rollback")


@dataclass(frozen=True, slots=True)
class Move:
    """One entry of an alias's history: at this time, by this action, it came to name this version."""

    action: str
    version: int
    at: str
    """UTC, RFC 3339."""
    id: str
    """A random identifier, by which a writer knows its own entry again after a lost reply."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A movable name for a version."""

    name: str
    manifest: Manifest
    history: tuple[Move, ...]

    def moved(self, move: Move, manifest: Manifest) -> "Alias":
        """This alias after one more move, to the version of `manifest`."""
        return Alias(self.name, manifest, (*self.history, move))

    def previous_version(self) -> int | None:
        """The version that a rollback goes back to: the one named before the current one came, or None.

        The history is a stack: a publish or promote puts a version on it, a rollback takes one off. Rolling back twice
        therefore goes back two versions, and not to and fro.
        """
        stack = _replay(self.history)
        return stack[-2] if len(stack) > 1 else None

    def to_json(self) -> bytes:
        """The bytes that the registry stores."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "alias": self.name,
            "version": self.manifest.version,
            "manifest": self.manifest.to_document(),
            "history": [asdict(move) for move in self.history],
        }
        return to_json(document)

    @classmethod
    def from_json(cls, data: bytes, path: str) -> "Alias":
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: an unknown schema, or anything malformed or contradicting itself.
        """
        document = Document.parse(data, path)
        document.require_schema(SCHEMA)
        name = document.text("alias")
        if not layout.is_name(name):
            raise document.error("alias", "an alias's name")
        manifest = Manifest.from_document(document.document("manifest"))
        if document.integer("version", 1) != manifest.version:
            raise document.error("version", f"{manifest.version}, the manifest's")
        history = tuple(_parse_move(item) for item in document.documents("history"))
        if _replay(history)[-1:] != [manifest.version]:
            raise document.error("history", f"moves that lead to version {manifest.version}")
        return cls(name, manifest, history)


def _parse_move(document: Document) -> Move:
    return Move(
        action=document.choice("action", ACTIONS),
        version=document.integer("version", 1),
        at=document.text("at"),
        id=document.text("id"),
    )


def _replay(history: tuple[Move, ...]) -> list[int]:
    """The stack of versions after these moves; empty where they contradict themselves."""
    stack: list[int] = []
    for move in history:
        if move.action == ROLLBACK:
            if len(stack) < 2 or stack[-2] != move.version:
                return []
            stack.pop()
        elif not stack or stack[-1] != move.version:
            stack.append(move.version)
    return stack
