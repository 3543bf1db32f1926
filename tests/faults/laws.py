"""The laws: what holds of a registry and of events whatever a store did, checked against the store itself."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.alias import PROMOTE, PUBLISH, Alias, Move
from onnxlet.contract.manifest import Manifest
from onnxlet.storage import Store
from tests.faults import models
from tests.faults.deliveries import NewObject, Queue
from tests.faults.front import World, Write

REGISTRY, RESULTS, INPUTS = "registry", "results", "in"
"""Where in a world they are."""

NAME, STEADY = "moving", "steady"
"""The model whose versions change, and the one that answers objects."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A change of `live` that its writer was told to be done."""

    action: str
    version: int
    before: int
    """How long the alias's history was before it began,"""
    after: int
    """and when it was acknowledged."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got."""

    status: int
    version: int
    values: list[float]


@dataclass
class Evidence:
    """All that was seen of a run, beside what the world's journal says."""

    world: World
    store: Store
    """The store itself, with nothing in between."""
    attempts: Counter[str] = field(default_factory=Counter)
    """How often each action was tried."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    """Of each client, in its order, from the first that succeeded."""
    resolved: list[Manifest] = field(default_factory=list)
    """What readers were given."""
    wrong_bytes: list[str] = field(default_factory=list)
    """The SHA-256 of artifacts that readers were given with other bytes."""
    objects: dict[NewObject, bool] = field(default_factory=dict)
    """Each object, and whether it can be answered."""
    queue: Queue | None = None
    last: Answer | None = None
    """What the oldest function and a new one gave in the end, when the store was well again."""
    first: Answer | None = None

    def history(self) -> tuple[Move, ...]:
        """All moves of the last state, also those that it keeps no more."""
        moves: dict[int, Move] = {}
        states = self.states()
        for state in states:
            moves |= dict(enumerate(state.history, state.dropped))
        return tuple(moves[index] for index in range(_length(states[-1]))) if states else ()

    def states(self) -> list[Alias]:
        """All states in which `live` ever was."""
        key = f"{REGISTRY}/{layout.alias_key(NAME, layout.LIVE)}"
        return [Alias.from_json(write.body, write.key) for write in self.world.bodies(key)]

    def manifests(self) -> dict[int, Manifest]:
        """All versions that were ever written."""
        prefix = f"{REGISTRY}/{layout.model_prefix(NAME)}/versions/"
        found = (Manifest.from_json(write.body, write.key) for write in self.world.bodies(prefix))
        return {manifest.version: manifest for manifest in found}


Law = Callable[[Evidence], Iterator[str]]


def what_was_acknowledged_is_there(evidence: Evidence) -> Iterator[str]:
    """Each acknowledged change is a move of its own in the history, made between its beginning and its reply."""
    history, taken = evidence.history(), set()
    for done in sorted(evidence.acknowledged, key=lambda done: done.after):
        actions = {PUBLISH, PROMOTE} if done.action == PUBLISH else {done.action}
        for index, move in enumerate(history[done.before : done.after], done.before):
            if index not in taken and move.action in actions and move.version == done.version:
                taken.add(index)
                break
        else:
            yield f"{done} is not in the history {[(move.action, move.version) for move in history]}"


def nothing_is_done_twice(evidence: Evidence) -> Iterator[str]:
    """No move was made that nobody asked for, and no publication became two versions."""
    moves = Counter(PUBLISH if move.action == PROMOTE else move.action for move in evidence.history())
    for action, count in moves.items():
        if count > evidence.attempts[action]:
            yield f"{count} moves of {evidence.attempts[action]} attempts to {action}"
    publications = Counter(manifest.provenance.publication for manifest in evidence.manifests().values())
    yield from (f"the publication {name} has {count} versions" for name, count in publications.items() if count > 1)


def histories_are_only_added_to(evidence: Evidence) -> Iterator[str]:
    states = evidence.states()
    for before, after in pairwise(states):
        if not before.is_before(after) or _length(after) != _length(before) + 1:
            yield f"the history {before.history} became {after.history}"


def _length(alias: Alias) -> int:
    """How many moves an alias has made."""
    return alias.dropped + len(alias.history)


def what_an_alias_names_is_whole(evidence: Evidence) -> Iterator[str]:
    """When an alias was written, the manifests in it and all of their blobs had been."""
    written: dict[str, Write] = {}
    for write in evidence.world.bodies(f"{REGISTRY}/"):
        if "/aliases/" in write.key:
            yield from _incomplete(Alias.from_json(write.body, write.key), written)
        written[write.key] = write


def _incomplete(alias: Alias, written: dict[str, Write]) -> Iterator[str]:
    shares = (share.manifest for share in (alias.canary, alias.shadow) if share is not None)
    for manifest in (alias.manifest, *shares):
        key = f"{REGISTRY}/{layout.version_key(manifest.model, manifest.version)}"
        if key not in written or Manifest.from_json(written[key].body, key) != manifest:
            yield f"{alias.name} named {manifest.model} {manifest.version}, which was not published so"
        for artifact in manifest.artifacts:
            if f"{REGISTRY}/{layout.blob_key(artifact.sha256)}" not in written:
                yield f"{alias.name} named {manifest.model} {manifest.version} before its {artifact.role} was there"


def what_is_written_once_stays(evidence: Evidence) -> Iterator[str]:
    """Blobs, manifests and results are written once and stay as they were written; a blob is what its name says."""
    counts = Counter(write.key for write in evidence.world.journal)
    for write in evidence.world.journal:
        if "/aliases/" in write.key:
            continue
        if counts[write.key] > 1:
            yield f"{write.key} was written {counts[write.key]} times"
        if evidence.store.read(write.key).data != write.body:
            yield f"{write.key} is not what was written"
        if "/blobs/" in write.key and hashlib.sha256(write.body).hexdigest() != write.key.rpartition("/")[2]:
            yield f"{write.key} has other bytes than its name says"


def no_wrong_byte_is_given_out(evidence: Evidence) -> Iterator[str]:
    """What was resolved is what was published, what was read has its SHA-256, an answer is of its weights."""
    manifests = evidence.manifests()
    yield from (f"the artifact {sha256} was given out with other bytes" for sha256 in evidence.wrong_bytes)
    for manifest in evidence.resolved:
        if manifests.get(manifest.version) != manifest:
            yield f"version {manifest.version} was resolved as it was not published: {manifest}"
    for client, answers in evidence.answers.items():
        for answer in answers:
            if answer.status == 200 and answer.values != models.expected(
                manifests[answer.version].provenance.seed or 0
            ):
                yield f"{client}: version {answer.version} answered {answer.values}"


def the_last_good_model_answers(evidence: Evidence) -> Iterator[str]:
    """After the first answer no request fails, and versions come in the order in which the alias named them."""
    states = [{alias.manifest.version, *_canary(alias)} for alias in evidence.states()]
    for client, answers in evidence.answers.items():
        position = 0
        for answer in answers:
            if answer.status != 200:
                yield f"{client}: {answer.status}"
                continue
            found = next((at for at in range(position, len(states)) if answer.version in states[at]), None)
            if found is None:
                yield f"{client}: version {answer.version} after state {position} of {states}"
                break
            position = found


def _canary(alias: Alias) -> list[int]:
    return [] if alias.canary is None else [alias.canary.manifest.version]


def a_store_that_is_well_again_is_followed(evidence: Evidence) -> Iterator[str]:
    """In the end the oldest function answers with what the alias names, and so does a new one."""
    alias = evidence.states()[-1]
    for who, answer in (("the oldest function", evidence.last), ("a new function", evidence.first)):
        if answer is None or answer.version not in {alias.manifest.version, *_canary(alias)}:
            yield f"{who} gave {answer}, and version {alias.manifest.version} is live"


def every_object_has_one_outcome(evidence: Evidence) -> Iterator[str]:
    """A result where it can be answered, one error where it cannot; or it is still in the queue."""
    documents: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for write in evidence.world.bodies(f"{RESULTS}/"):
        document = json.loads(write.body)
        documents[document["source"]].append(document)
    left = {delivery.item for delivery in (*evidence.queue.waiting, *evidence.queue.dead)} if evidence.queue else set()
    for item, is_good in evidence.objects.items():
        found = documents.pop(item.url, [])
        if len(found) != 1 and not (not found and item in left):
            yield f"{item.key} has {len(found)} outcomes"
        for document in found:
            if ("error" in document) == is_good:
                yield f"{item.key}, which is {'good' if is_good else 'poison'}, has {document}"
            elif is_good and document["predictions"] != [models.expected(0)]:
                yield f"{item.key} has other predictions: {document}"
    yield from (f"{source} has an outcome and was never there" for source in documents)


LAWS: tuple[Law, ...] = (
    what_was_acknowledged_is_there,
    nothing_is_done_twice,
    histories_are_only_added_to,
    what_an_alias_names_is_whole,
    what_is_written_once_stays,
    no_wrong_byte_is_given_out,
    the_last_good_model_answers,
    a_store_that_is_well_again_is_followed,
    every_object_has_one_outcome,
)


def violations(evidence: Evidence) -> list[str]:
    """What breaks a law, each with the law's name."""
    return [f"{law.__name__}: {text}" for law in LAWS for text in law(evidence)]
