"""The samples: what functions have captured of their answers, read back."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from onnxlet.contract.document import Document
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.training_statistics import CONFIDENCE
from onnxlet.observe.capture import SCHEMA, prefix
from onnxlet.storage import Store

MAX_DOCUMENTS = 10_000
"""The newest: more take long to read, and say no more."""

CONCURRENT_READS = 16


@dataclass(slots=True)
class Samples:
    """The rows of many requests."""

    requests: int = 0
    labels: list[str] = field(default_factory=list)
    measures: dict[str, list[float]] = field(default_factory=dict)
    """The confidence too, by name."""

    def add(self, document: Document) -> None:
        """Take the rows of one request.

        Raises:
            ManifestError: no function has written this.
        """
        document.require_schema(SCHEMA)
        self.requests += 1
        for row in document.documents("rows"):
            found = row.number_map("measures")
            if "label" in row.content:
                self.labels.append(row.text("label"))
                found = {**found, CONFIDENCE: row.number(CONFIDENCE)}
            for name, value in found.items():
                self.measures.setdefault(name, []).append(value)


def read_samples(places: Sequence[Store], manifest: Manifest, days: int) -> Samples:
    """Read what was captured of a version, today and in so many days before.

    Raises:
        ManifestError: a document that no function has written.
        StoreError: a store does not answer.
    """
    samples = Samples()
    keys = islice(_keys(places, manifest, days), MAX_DOCUMENTS)
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        for document in pool.map(lambda each: _read(*each), keys):
            samples.add(document)
    return samples


def _keys(places: Sequence[Store], manifest: Manifest, days: int) -> Iterator[tuple[Store, str]]:
    """Where the documents lie, the newest days first."""
    today = datetime.now(UTC)
    for before in range(days + 1):
        for store in places:
            for key in store.keys(prefix(manifest.model, manifest.version, today - timedelta(days=before))):
                yield store, key


def _read(store: Store, key: str) -> Document:
    return Document.parse(store.read(key).data, f"{store.url}/{key}")
