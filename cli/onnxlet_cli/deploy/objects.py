"""The smoke object: what is put where objects are answered comes back as a result, with the golden answer."""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from onnxlet import session
from onnxlet.contract import tensors
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import (
    ArtifactError,
    InvalidTensorError,
    ManifestError,
    OnnxletError,
    StoreError,
    TooLargeError,
)
from onnxlet.events.result_keys import readable
from onnxlet.limits import MAX_BODY_BYTES
from onnxlet.media import media_types
from onnxlet.models.batches import Batch
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store, urls
from onnxlet_cli.deploy.cloud import Cloud, Outputs
from onnxlet_cli.deploy.process import Report

PREFIX = "onnxlet-deploy-"
"""Begins the name of the folder that the object is put into; 128 random bits follow, so that it is nobody else's."""

PATIENCE_S = 300
"""How long to wait for a result: a new deployment's notifications, triggers and permissions take minutes to work."""
PAUSE_S = 2
REPORT_S = 30
"""Between two lines that say that nothing has come yet."""
AGAIN_S = 60
"""After so long the object is put once more: what happened before a notification worked is never told."""
SETTLE_S = 15
"""How long to wait for the results of the objects that were put again; those that were lost have none."""


@dataclass(frozen=True)
class ObjectAnswer:
    """What came back."""

    result: str
    """The result's URL; the result is removed."""
    seconds: float
    """The time from the object to its result."""
    version: int
    """The version that answered."""
    is_golden: bool
    """Whether the predictions were compared with the version's golden example."""


@dataclass(frozen=True)
class Question:
    """The object, and what must come back."""

    body: bytes
    golden: Golden | None
    """None where only the object's way is tried: it is empty, and its result says that it cannot be answered."""


@dataclass(frozen=True)
class Errand:
    """One object on its way to its result."""

    inputs: Store
    results: Store
    folder: str
    """The object's folder among the inputs."""
    commands: Sequence[str]
    """The commands that show why no result comes."""

    @property
    def url(self) -> str:
        """The URL of the object's folder."""
        return f"{self.inputs.url}/{self.folder}"

    @property
    def place(self) -> str:
        """The folder of the results, relative to the place for results."""
        return readable("/".join(filter(None, (urls.split(self.inputs.url)[2], self.folder))))

    @property
    def remedy(self) -> str:
        """What a user may look at where the result is missing or wrong."""
        return f"; look with: {'; '.join(self.commands)}"

    def wait(self, body: bytes, report: Report, patience_s: float, pause_s: float) -> tuple[str, dict[str, Any]]:
        """Put the object, again and again, until one of its results is there; return its URL and its document.

        Raises:
            StoreError: there is none in time.
        """
        started, puts, reports = time.monotonic(), 0, 0
        while True:
            waited_s = time.monotonic() - started
            if waited_s >= puts * AGAIN_S:
                self.inputs.put_if_absent(f"{self.folder}/{puts}.json", body)
                puts += 1
            for name in self.results.children(self.place):
                key = f"{self.place}/{name}"
                return f"{self.results.url}/{key}", json.loads(self.results.read(key).data)
            if waited_s >= patience_s:
                raise StoreError(
                    f"{self.url}: expected a result under {self.results.url} within {patience_s:.0f} s, got none"
                    f"{self.remedy}"
                )
            if waited_s >= (reports + 1) * REPORT_S:
                reports += 1
                report(f"wait     no result of {self.url} after {waited_s:.0f} of at most {patience_s:.0f} s")
            time.sleep(pause_s)

    def settle(self, pause_s: float) -> None:
        """Wait for the results of all objects that were put, so that none is written after they are removed."""
        puts, ends = len(self.inputs.children(self.folder)), time.monotonic() + SETTLE_S
        while len(self.results.children(self.place)) < puts and time.monotonic() < ends:
            time.sleep(pause_s)


def ask(
    cloud: Cloud,
    outputs: Outputs,
    registry: Registry,
    manifest: Manifest,
    report: Report,
    patience_s: float = PATIENCE_S,
    pause_s: float = PAUSE_S,
) -> ObjectAnswer | None:
    """Put an object, wait for its result, compare it with the golden example, and remove both, whatever comes of it.

    Args:
        cloud: Where the functions are.
        outputs: The places of what is deployed.
        registry: The registry there.
        manifest: The version that is live.
        report: Takes a line now and then while nothing comes.
        patience_s: How long to wait.
        pause_s: How long to pause between two looks.

    Returns:
        None where no function answers objects.

    Raises:
        ArtifactError: the result is another one.
        StoreError: none came, or one that says why there is no answer; the text says where to look.
    """
    commands = cloud.look(outputs)
    if not commands:
        return None
    question = to_question(manifest, _golden(registry, manifest))
    inputs, results = (cloud.open_registry(url).store for url in (outputs.input_url, outputs.results_url))
    errand = Errand(inputs, results, f"{PREFIX}{os.urandom(16).hex()}", commands)
    started = time.monotonic()
    with _removed(cloud, errand, report):
        url, document = errand.wait(question.body, report, patience_s, pause_s)
        seconds, is_golden = time.monotonic() - started, False
        errand.settle(pause_s)
        if question.golden is not None and document["version"] == manifest.version:
            is_golden = _check(registry, manifest, question.golden, document, f"{url}{errand.remedy}")
        return ObjectAnswer(url, seconds, document["version"], is_golden)


@contextmanager
def _removed(cloud: Cloud, errand: Errand, report: Report) -> Iterator[None]:
    """Remove the object and its results at the end; what cannot be removed is reported, and no failure."""
    try:
        yield
    finally:
        for url in (errand.url, f"{errand.results.url}/{errand.place}"):
            try:
                cloud.remove_objects(url)
            except OnnxletError as error:
                report(f"left     {url} was not removed: {error}")


def to_question(manifest: Manifest, golden: Golden | None) -> Question:
    """Return the object that a version is asked with: its golden inputs as JSON, or an empty one.

    The functions' own reader must make exactly the golden inputs of it: not every tensor has a JSON form.
    """
    has_json = all(spec.datatype.code or spec.datatype.name == "BYTES" for spec in manifest.outputs)
    for body in _bodies(golden) if golden is not None and has_json else ():
        with suppress(OnnxletError):
            if golden is not None and _is_read(manifest, golden, body):
                return Question(body, _through_json(golden))
    return Question(b"", None)


def _check(registry: Registry, manifest: Manifest, golden: Golden, document: dict[str, Any], url: str) -> bool:
    """Compare a result with the golden example.

    Returns:
        Whether there was something to compare.

    Raises:
        ArtifactError: it is another one.
        StoreError: it says why there is no answer.
    """
    if "error" in document:
        if document["code"] == TooLargeError.code:  # for this function's memory, which says nothing of the answer
            return False
        raise StoreError(f"the object came back without an answer: {document['error']:.300}: {url}")
    try:
        if manifest.classification is not None:
            difference = _label_difference(registry, manifest, golden, document["predictions"])
        else:
            difference = _value_difference(manifest, golden, document["predictions"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OnnxletError) as error:
        raise ArtifactError(f"the golden object came back in another form: {error!r}: {url}") from error
    if difference is not None and difference > MAX_DIFFERENCE:
        raise ArtifactError(f"the golden object came back {difference:.2g} off: {url}")
    return difference is not None


def _golden(registry: Registry, manifest: Manifest) -> Golden | None:
    """Return the golden example; None if the version has none that can be read, which no function needs."""
    try:
        return registry.golden(manifest)
    except (ArtifactError, ManifestError):
        return None


def _bodies(golden: Golden) -> Iterator[bytes]:
    """The forms that the golden inputs may have as JSON: an instance for each row, or one for all."""
    with suppress(OnnxletError, ValueError):
        nested = {name: tensors.to_nested(tensor) for name, tensor in golden.inputs.items()}
        if all(isinstance(value, list) for value in nested.values()):
            rows = [dict(zip(nested, row, strict=True)) for row in zip(*nested.values(), strict=True)]
            yield json.dumps({"instances": rows}).encode()
        yield json.dumps({"instances": [nested]}).encode()


def _is_read(manifest: Manifest, golden: Golden, body: bytes) -> bool:
    """Return whether the functions make exactly the golden inputs of a body, and run them as one."""
    rows = payloads.decode(Reader(manifest), media_types.JSON, body)
    batches = [item for item in rows if isinstance(item, Batch)]
    found = {name: tensors.join([batch.inputs[name] for batch in batches]) for name in batches[0].inputs}
    specs = (*manifest.inputs, *manifest.outputs)
    is_one = len(batches) == 1 or len({spec.shape and spec.shape[0] for spec in specs}) == 1
    return is_one and len(body) <= MAX_BODY_BYTES and _bytes(found) == _bytes(golden.inputs)


def _bytes(found: Mapping[str, Tensor]) -> dict[str, tuple[object, ...]]:
    return {name: (tensor.datatype, tensor.shape, bytes(tensor.buffer)) for name, tensor in found.items()}


def _value_difference(manifest: Manifest, golden: Golden, predictions: list[Any]) -> float | None:
    """How far the values of a result are from the golden outputs; None where none can be compared."""
    shapes = {name: tensor.shape for name, tensor in golden.outputs.items()}
    shapes |= {name: sample.shape for name, sample in golden.samples.items()}
    found = {}
    for name, shape in shapes.items():
        datatype = next(spec.datatype for spec in manifest.outputs if spec.name == name)
        values = predictions if len(manifest.outputs) == 1 else [prediction[name] for prediction in predictions]
        rows = tensors.from_nested(name, datatype, values)
        found[name] = rows if rows.shape == shape else tensors.from_nested(name, datatype, values[0])
    return golden.difference(found) if found else None


def _through_json(golden: Golden) -> Golden:
    """Return an example whose outputs are as they are after they were JSON, where an infinity becomes NaN.

    Raises:
        InvalidTensorError, TooLargeError: an output has no JSON form.
    """
    outputs = {name: _as_json(tensor) for name, tensor in golden.outputs.items()}
    samples = {name: replace(sample, elements=_as_json(sample.elements)) for name, sample in golden.samples.items()}
    return replace(golden, outputs=outputs, samples=samples)


def _as_json(tensor: Tensor) -> Tensor:
    values = _without_infinity(tensors.to_nested(tensor))
    found = tensors.from_nested("output", tensor.datatype, values)
    if found.shape != tensor.shape:
        raise InvalidTensorError(f"a tensor of the shape {tensor.shape} has no JSON form")
    return found


def _without_infinity(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_infinity(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _label_difference(
    registry: Registry, manifest: Manifest, golden: Golden, predictions: Sequence[Any]
) -> float | None:
    """How far the probabilities of a result are from those of the golden outputs; None where none can be compared."""
    output = golden.outputs.get(manifest.class_output())
    artifact, classification = manifest.artifact("postprocess"), manifest.classification
    if output is None or artifact is None or classification is None:
        return None
    graph = session.open_session(registry.artifacts.read(artifact))
    labels = classification.labels
    indices, probabilities = map(tensors.to_values, Model(manifest, graph, None, graph).classify(output, len(labels)))
    rows = [
        [(labels[index], probability) for index, probability in zip(each, likely, strict=True)]
        for each, likely in zip(_rows(indices, len(labels)), _rows(probabilities, len(labels)), strict=True)
    ]
    differences = [_row_difference(row, found) for row, found in zip(rows, predictions, strict=True)]
    return max(differences)


def _row_difference(expected: list[tuple[str, float]], found: dict[str, Any]) -> float:
    """How far the labels of one row are off: each has its own probability, and the first is a most probable one."""
    differences: list[float] = [
        min(abs(probability - each["probability"]) for label, probability in expected if label == each["label"])
        for each in found["top"]
    ]
    differences.append(abs(expected[0][1] - found["probability"]))
    differences.append(abs(found["top"][0]["probability"] - found["probability"]))
    return max(differences)


def _rows(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
