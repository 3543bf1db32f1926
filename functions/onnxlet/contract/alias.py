"""The alias: a movable name for a version, with the version's whole manifest and the last moves of its history."""

from __future__ import annotations

from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.document import MAX_STATE_BYTES, SEALED, UNSEALED, Document, to_sealed_json
from onnxlet.contract.manifest import Manifest
from onnxlet.record import Record, replace, to_dict

PUBLISH, PROMOTE, ROLLBACK, CANARY, SHADOW = ACTIONS = ("publish", "promote", "rollback", "canary", "shadow")
SHARES = (CANARY, SHADOW)
"""The actions that change how requests are shared out, and not which version the alias names."""

MAX_MOVES = 100
"""How many moves an alias keeps, and how many versions more that a rollback goes back to."""


class Move(Record):
    """One entry of an alias's history: at this time, by this action, it came to name this version."""

    action: str
    version: int
    at: str
    """UTC, RFC 3339."""
    id: str
    """A random identifier, by which a writer knows its own entry again after a lost reply."""
    weight: float | None = None
    """Of a canary or a shadow: the share of requests that it gets from now on; 0 ends it."""


class Share(Record):
    """Another version that gets a share of an alias's requests."""

    manifest: Manifest
    weight: float
    """In (0, 1]."""


class Alias(Record):
    """A movable name for a version."""

    name: str
    manifest: Manifest
    history: tuple[Move, ...]
    """The last moves: `MAX_MOVES` of them where more are written."""
    canary: Share | None = None
    """Answers its share of the requests instead of the version that the alias names."""
    shadow: Share | None = None
    """Gets a copy of its share of the requests; its answers are logged and go nowhere else."""
    earlier: tuple[int, ...] = ()
    """The stack of versions before the first move of the history, the last one named last."""
    dropped: int = 0
    """How many moves there were before the first one of the history."""

    def moved(self, move: Move, manifest: Manifest) -> Alias:
        """This alias after it came to name another version, which ends its canary and its shadow."""
        return _shortened(replace(self, manifest=manifest, history=(*self.history, move), canary=None, shadow=None))

    def shared(self, move: Move, manifest: Manifest) -> Alias:
        """This alias after its canary or its shadow, as `move` says, began, changed or ended."""
        share = Share(manifest, move.weight) if move.weight else None
        changed = _shortened(replace(self, history=(*self.history, move)))
        return replace(changed, canary=share) if move.action == CANARY else replace(changed, shadow=share)

    def is_before(self, other: Alias) -> bool:
        """Return whether this is an earlier state of the same alias, as far as both keep the same moves.

        A history is only ever added to, and shortened at its beginning.
        """
        length = self.dropped + len(self.history)
        if length >= other.dropped + len(other.history):
            return False
        start = max(self.dropped, other.dropped)
        of_other = other.history[start - other.dropped : max(0, length - other.dropped)]
        return self.history[start - self.dropped :] == of_other

    def previous_version(self) -> int | None:
        """The version that a rollback goes back to: the one named before the current one came, or None.

        The history is a stack: a publish or promote puts a version on it, a rollback takes one off. Rolling back twice
        therefore goes back two versions, and not to and fro.
        """
        stack = _replay(self.earlier, self.history)
        return stack[-2] if len(stack) > 1 else None

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores.

        Raises:
            ManifestError: its manifests are too large together.
        """
        document: dict[str, Any] = {
            "schema": SEALED,
            "alias": self.name,
            "version": self.manifest.version,
            "manifest": self.manifest.to_document(),
            "canary": _share_to_document(self.canary),
            "shadow": _share_to_document(self.shadow),
            "history": to_dict(self.history),
            "earlier": list(self.earlier),
            "dropped": self.dropped,
        }
        return to_sealed_json(document, MAX_STATE_BYTES, "end its canary or its shadow")

    @classmethod
    def from_json(cls, data: bytes, path: str, at_most: int = MAX_STATE_BYTES) -> Alias:
        """Read the bytes that the registry stores.

        Args:
            data: The bytes.
            path: What names them in errors.
            at_most: How many bytes are read.

        Raises:
            ManifestError: an unknown schema, or anything malformed or contradicting itself.
        """
        document = Document.parse_sealed(data, path, at_most)
        name = document.text("alias")
        if not layout.is_name(name):
            raise document.error("alias", "an alias's name")
        manifest = Manifest.from_document(document.document("manifest"))
        if document.integer("version", 1) != manifest.version:
            raise document.error("version", f"{manifest.version}, the manifest's")
        history = tuple(_parse_move(item) for item in document.documents("history"))
        is_whole = document.content["schema"] == UNSEALED  # whose history was never shortened
        earlier = () if is_whole else document.integers("earlier", 1)
        dropped = 0 if is_whole else document.integer("dropped", 0)
        if _replay(earlier, history)[-1:] != [manifest.version]:
            raise document.error("history", f"moves that lead to version {manifest.version}")
        canary, shadow = (_parse_share(document, field, manifest.model) for field in SHARES)
        return cls(name, manifest, history, canary, shadow, earlier, dropped)


def _share_to_document(share: Share | None) -> dict[str, Any] | None:
    return None if share is None else {"weight": share.weight, "manifest": share.manifest.to_document()}


def _parse_share(document: Document, field: str, model: str) -> Share | None:
    share = document.optional_document(field)
    if share is None:
        return None
    weight = share.number("weight")
    if not 0 < weight <= 1:
        raise share.error("weight", "a number above 0 and up to 1")
    manifest = Manifest.from_document(share.document("manifest"))
    if manifest.model != model:
        raise share.error("manifest", f"a version of {model}")
    return Share(manifest, weight)


def _parse_move(document: Document) -> Move:
    return Move(
        action=document.choice("action", ACTIONS),
        version=document.integer("version", 1),
        at=document.text("at"),
        id=document.text("id"),
        weight=None if document.content.get("weight") is None else document.number("weight"),
    )


def _replay(earlier: tuple[int, ...], history: tuple[Move, ...]) -> list[int]:
    """Return the stack of versions after these moves; empty where they contradict themselves."""
    stack = list(earlier)
    for move in history:
        if move.action in SHARES:
            continue
        if move.action == ROLLBACK:
            if len(stack) < 2 or stack[-2] != move.version:
                return []
            stack.pop()
        elif not stack or stack[-1] != move.version:
            stack.append(move.version)
    return stack


def _shortened(alias: Alias) -> Alias:
    """Return an alias with its last `MAX_MOVES` moves, and what a rollback needs of those before."""
    count = len(alias.history) - MAX_MOVES
    if count <= 0:
        return alias
    stack = _replay(alias.earlier, alias.history[:count])
    # The moves that are kept hold `MAX_MOVES` rollbacks at most, and each needs a version below the one it takes off.
    earlier = tuple(stack[-MAX_MOVES - 1 :])
    return replace(alias, history=alias.history[count:], earlier=earlier, dropped=alias.dropped + count)
