"""The smoke object: an object that is put into the inputs comes back as a result with the golden answer."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import OnnxletError, TooLargeError
from onnxlet.events.result_keys import readable
from onnxlet.limits import MAX_BODY_BYTES
from onnxlet.media import media_types
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store, urls
from onnxlet.tasks.rows import Batch
from onnxlet_cli.deploy import object_comparison, smoke
from onnxlet_cli.deploy.cloud import Cloud, Outputs
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.errors import DeploymentError
from onnxlet_publishing.errors import CommandError

PREFIX = "onnxlet-deploy-"
"""The beginning of the object's folder; 128 random bits follow, so that no other object has the same folder."""

PATIENCE_S = 300
"""The time to wait for a result: a new deployment's notifications, triggers and permissions take minutes to work."""
PAUSE_S = 2
REPORT_S = 30
"""The time between two lines that report that there is no result yet."""
AGAIN_S = 60
"""The time after which the object is put once more: S3 never announces an object from before the notification."""
SETTLE_S = 15
"""The time to wait for the results of the objects that were put again; a lost object has none."""


@dataclass(frozen=True)
class ObjectAnswer:
    """The result of the smoke object."""

    result: str
    """The result's URL; the result itself is removed afterwards."""
    seconds: float
    """The time from the object to its result."""
    version: int
    """The version that answered."""
    is_golden: bool
    """Whether the predictions were compared with the version's golden example."""


@dataclass(frozen=True)
class RoundTrip:
    """The way of one object to its result."""

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
        """The text that tells a user how to find out why the result is missing or wrong."""
        return f"; look with: {'; '.join(self.commands)}"

    def wait(self, body: bytes, report: Report, patience_s: float, pause_s: float) -> tuple[str, dict[str, Any]]:
        """Put the object, again and again, until one of its results is there; return its URL and its document.

        Raises:
            DeploymentError: no result came in time.
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
                raise DeploymentError(
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
    """Put an object, wait for its result, compare it with the golden example, and always remove both.

    Return None if no function answers objects.

    Raises:
        DeploymentError: no result came, or one without the golden answer; the text says where to look.
    """
    commands = cloud.diagnostics(outputs)
    if not commands:
        return None
    body, golden = to_object(manifest, smoke.read_golden(registry, manifest))
    inputs, results = (cloud.open_registry(url).store for url in (outputs.input_url, outputs.results_url))
    trip = RoundTrip(inputs, results, f"{PREFIX}{os.urandom(16).hex()}", commands)
    started = time.monotonic()
    with _removed(cloud, trip, report):
        url, document = trip.wait(body, report, patience_s, pause_s)
        seconds, is_golden = time.monotonic() - started, False
        trip.settle(pause_s)
        if golden is not None and document["version"] == manifest.version:
            is_golden = _check(registry, manifest, golden, document, f"{url}{trip.remedy}")
        return ObjectAnswer(url, seconds, document["version"], is_golden)


@contextmanager
def _removed(cloud: Cloud, trip: RoundTrip, report: Report) -> Iterator[None]:
    """Remove the object and its results at the end; report a failure, raise none."""
    try:
        yield
    finally:
        for url in (trip.url, f"{trip.results.url}/{trip.place}"):
            try:
                cloud.remove_objects(url)
            except (CommandError, OnnxletError) as error:
                report(f"left     {url} was not removed: {error}")


def to_object(manifest: Manifest, golden: Golden | None) -> tuple[bytes, Golden | None]:
    """Return the smoke object of a version, its golden inputs as JSON, and the example that must come back.

    The functions' own reader must read exactly the golden inputs from it: not every tensor has a JSON form. The result
    of an empty object, without an example, only proves that objects are answered.
    """
    has_json = all(spec.datatype.code or spec.datatype.name == "BYTES" for spec in manifest.outputs)
    for body in _bodies(golden) if golden is not None and has_json else ():
        with suppress(OnnxletError):
            if golden is not None and _is_read(manifest, golden, body):
                return body, object_comparison.through_json(golden)
    return b"", None


def _check(registry: Registry, manifest: Manifest, golden: Golden, document: dict[str, Any], url: str) -> bool:
    """Compare a result with the golden example; return whether there was something to compare."""
    if "error" in document:
        if document["code"] == TooLargeError.code:  # for the function's memory, which says nothing about the answer
            return False
        raise DeploymentError(f"the object came back without an answer: {document['error']:.300}: {url}")
    try:
        difference = object_comparison.difference(registry, manifest, golden, document["predictions"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OnnxletError) as error:
        raise DeploymentError(f"the golden object came back in another form: {error!r}: {url}") from error
    if difference is not None and difference > MAX_DIFFERENCE:
        raise DeploymentError(f"the golden object came back {difference:.2g} off: {url}")
    return difference is not None


def _bodies(golden: Golden) -> Iterator[bytes]:
    """Yield the golden inputs as JSON documents: with an instance for each row, and with one instance for all rows."""
    with suppress(OnnxletError, ValueError):
        nested = {name: json_tensors.to_nested(tensor) for name, tensor in golden.inputs.items()}
        if all(isinstance(value, list) for value in nested.values()):
            rows = [dict(zip(nested, row, strict=True)) for row in zip(*nested.values(), strict=True)]
            yield json.dumps({"instances": rows}).encode()
        yield json.dumps({"instances": [nested]}).encode()


def _is_read(manifest: Manifest, golden: Golden, body: bytes) -> bool:
    """Return whether the functions read exactly the golden inputs from a body, and run them as one batch."""
    rows = payloads.decode(Reader(manifest), media_types.JSON, body).rows
    batches = [item for item in rows if isinstance(item, Batch)]
    inputs = {name: tensors.join([batch.inputs[name] for batch in batches]) for name in batches[0].inputs}
    specs = (*manifest.inputs, *manifest.outputs)
    is_one = len(batches) == 1 or len({spec.shape and spec.shape[0] for spec in specs}) == 1
    return is_one and len(body) <= MAX_BODY_BYTES and _bytes(inputs) == _bytes(golden.inputs)


def _bytes(inputs: Mapping[str, Tensor]) -> dict[str, tuple[object, ...]]:
    return {name: (tensor.datatype, tensor.shape, bytes(tensor.buffer)) for name, tensor in inputs.items()}
