"""Samples: measures of requests and answers that functions have captured (ONNXLET_CAPTURE)."""

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
"""Largest number of documents read, the newest ones: more would take long, and change little."""

CONCURRENT_READS = 16


@dataclass(slots=True)
class Samples:
    """The captured rows of many requests."""

    requests: int = 0
    labels: list[str] = field(default_factory=list)
    measures: dict[str, list[float]] = field(default_factory=dict)
    """The values of each measure by its name, including the confidence."""

    def add(self, document: Document) -> None:
        """Add the rows of one request.

        Raises:
            ManifestError: The document does not have the form that functions write.
        """
        document.require_schema(SCHEMA)
        self.requests += 1
        for row in document.documents("rows"):
            measures = row.number_map("measures")
            if "label" in row.content:
                self.labels.append(row.text("label"))
                measures = {**measures, CONFIDENCE: row.number(CONFIDENCE)}
            for name, value in measures.items():
                self.measures.setdefault(name, []).append(value)


def read_samples(places: Sequence[Store], manifest: Manifest, days: int) -> Samples:
    """Read what functions captured of a version today and in the given number of days before.

    Raises:
        ManifestError: A document does not have the form that functions write.
        StoreError: A store does not respond.
    """
    samples = Samples()
    keys = islice(_keys(places, manifest, days), MAX_DOCUMENTS)
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        for document in pool.map(lambda place: _read(*place), keys):
            samples.add(document)
    return samples


def _keys(places: Sequence[Store], manifest: Manifest, days: int) -> Iterator[tuple[Store, str]]:
    """Yield the store and the key of each document, the newest days first."""
    today = datetime.now(UTC)
    for before in range(days + 1):
        for store in places:
            for key in store.keys(prefix(manifest.model, manifest.version, today - timedelta(days=before))):
                yield store, key


def _read(store: Store, key: str) -> Document:
    return Document.parse(store.read(key).data, f"{store.url}/{key}")
