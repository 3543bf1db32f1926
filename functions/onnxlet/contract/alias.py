"""Alias: a movable name for a version, with the version's whole manifest and the last moves of the alias."""

from __future__ import annotations

from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.document import MAX_STATE_BYTES, SEALED, UNSEALED, Document, to_sealed_json
from onnxlet.contract.manifest import Manifest
from onnxlet.record import Record, replace, to_dict

PUBLISH, PROMOTE, ROLLBACK, CANARY, SHADOW = ACTIONS = ("publish", "promote", "rollback", "canary", "shadow")
SHARES = (CANARY, SHADOW)
"""The actions that change the shares of requests, but not the version that the alias names."""

MAX_MOVES = 100
"""Moves that an alias keeps, and versions before these moves that rollbacks can return to."""


class Move(Record):
    """One entry of an alias's history: the action that made it name a version, or changed a share."""

    action: str
    version: int
    at: str
    """The time in UTC, RFC 3339."""
    id: str
    """A random identifier, by which a writer recognises its own move after a lost reply."""
    weight: float | None = None
    """The share of requests that a canary or a shadow gets from now on; 0 ends it."""


class Share(Record):
    """Another version with a share of an alias's requests."""

    manifest: Manifest
    weight: float
    """The share, in (0, 1]."""


class Alias(Record):
    """A movable name for a version."""

    name: str
    manifest: Manifest
    history: tuple[Move, ...]
    """The last moves, at most `MAX_MOVES`."""
    canary: Share | None = None
    """The version that answers its share of the requests instead of the alias's version."""
    shadow: Share | None = None
    """The version that gets a copy of its share of the requests; its answers are only logged."""
    earlier: tuple[int, ...] = ()
    """The stack of versions before the history's first move, oldest first."""
    dropped: int = 0
    """The number of moves before the history's first move."""

    def moved(self, move: Move, manifest: Manifest) -> Alias:
        """Return this alias after a move to another version, which ends the canary and the shadow."""
        return _shortened(replace(self, manifest=manifest, history=(*self.history, move), canary=None, shadow=None))

    def shared(self, move: Move, manifest: Manifest) -> Alias:
        """Return this alias after a move that starts, changes or ends its canary or shadow."""
        share = Share(manifest, move.weight) if move.weight else None
        changed = _shortened(replace(self, history=(*self.history, move)))
        return replace(changed, canary=share) if move.action == CANARY else replace(changed, shadow=share)

    def is_before(self, other: Alias) -> bool:
        """Return whether this is an earlier state of the same alias, judged by the moves that both still keep.

        Moves are only added at the end of a history, and dropped at its beginning.
        """
        length = self.dropped + len(self.history)
        if length >= other.dropped + len(other.history):
            return False
        start = max(self.dropped, other.dropped)
        of_other = other.history[start - other.dropped : max(0, length - other.dropped)]
        return self.history[start - self.dropped :] == of_other

    def previous_version(self) -> int | None:
        """Return the version that a rollback returns to, or None if there is no earlier one.

        The history is a stack: a publish or a promote pushes a version, and a rollback pops one. So two rollbacks go
        back two versions, and do not alternate between two.
        """
        stack = _replay(self.earlier, self.history)
        return stack[-2] if len(stack) > 1 else None

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores.

        Raises:
            ManifestError: the manifests are too large together.
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
            path: The name of the document in errors.
            at_most: The largest size in bytes that is accepted.

        Raises:
            ManifestError: the schema is unknown, or a field is malformed or contradicts another.
        """
        document = Document.parse_sealed(data, path, at_most)
        name = document.text("alias")
        if not layout.is_name(name):
            raise document.error("alias", "an alias's name")
        manifest = Manifest.from_document(document.document("manifest"))
        if document.integer("version", 1) != manifest.version:
            raise document.error("version", f"{manifest.version}, the manifest's")
        history = tuple(_parse_move(item) for item in document.documents("history"))
        is_whole = document.content["schema"] == UNSEALED  # schema 1 never shortened a history
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
        weight=document.number("weight") if document.has("weight") else None,
    )


def _replay(earlier: tuple[int, ...], history: tuple[Move, ...]) -> list[int]:
    """Return the stack of versions after these moves; an empty one if the moves contradict each other."""
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
    """Return an alias with its last `MAX_MOVES` moves, and the versions before them that rollbacks need."""
    count = len(alias.history) - MAX_MOVES
    if count <= 0:
        return alias
    stack = _replay(alias.earlier, alias.history[:count])
    # The kept moves hold at most `MAX_MOVES` rollbacks, and each needs a version below the one that it pops.
    earlier = tuple(stack[-MAX_MOVES - 1 :])
    return replace(alias, history=alias.history[count:], earlier=earlier, dropped=alias.dropped + count)
