"""The summary: what all item batches of a Step Functions Distributed Map have answered, added up.

Source: AWS Step Functions developer guide, "ResultWriter": a manifest names the files with the outputs of the item
batches that succeeded, one in each line.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onnxlet.contract.document import Document, to_json
from onnxlet.service import Service

COUNTS = ("answered", "refused", "left_alone")
"""What `events.tally` counts; the objects that failed are in no output of any item batch."""


def write(service: Service, event: Mapping[str, Any]) -> dict[str, Any]:
    """Write `summary.json` beside the manifest, and return it; a second time changes nothing.

    Args:
        service: The function's parts.
        event: The name of the run, where its results lie, where its manifest lies, and the map run's counts of items.

    Raises:
        ManifestError: another event, or a file that no Distributed Map has written.
        ObjectNotFoundError, BucketNotFoundError, StoreError: what the event names cannot be read.
    """
    asked = Document(event, "event")
    place, items = asked.document("manifest"), asked.document("items")
    bucket_url, key = f"s3://{place.text('Bucket')}", place.text("Key")
    total, succeeded = items.integer("Total", 0), items.integer("Succeeded", 0)
    store = service.bucket(bucket_url)
    manifest = Document.parse(store.read(key).data, f"{bucket_url}/{key}")
    counts = dict.fromkeys(COUNTS, 0)
    for file in manifest.document("ResultFiles").documents("SUCCEEDED"):
        for line in _lines(store.chunks(file.text("Key"))):
            output = Document.parse(line, f"{bucket_url}/{file.text('Key')}")
            counts = {name: count + output.integer(name, 0) for name, count in counts.items()}
    summary = {
        "run": asked.text("run"),
        "objects": total,
        **counts,
        "failed": total - succeeded,
        "results": asked.text("results"),
        "manifest": f"{bucket_url}/{key}",
    }
    summary_key = f"{key.rpartition('/')[0]}/summary.json"
    store.put_if_absent(summary_key, to_json(summary))
    return {**summary, "summary": f"{bucket_url}/{summary_key}"}


def _lines(chunks: Iterable[memoryview]) -> Iterator[bytes]:
    """The lines of a file that comes piece by piece."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        yield from filter(None, lines)
    if rest:
        yield rest
