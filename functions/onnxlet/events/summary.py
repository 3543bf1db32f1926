"""The summary of a Step Functions Distributed Map: the sum of its item batches' counts.

Source: AWS Step Functions developer guide, "ResultWriter": a manifest names the files with the outputs of the item
batches that succeeded, one in each line.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onnxlet.contract.document import Document, to_json
from onnxlet.service import Service

COUNTS = ("answered", "refused", "left_alone")
"""The counts of `objects.tally`. Failed objects are in no item batch's output."""


def write(service: Service, event: Mapping[str, Any]) -> dict[str, Any]:
    """Write `summary.json` next to the manifest, and return it. Writing it again changes nothing.

    Args:
        service: The function's parts.
        event: The run's name, the places of its results and its manifest, and the map run's counts of items.

    Raises:
        ManifestError: the event or one of its files is not from a Distributed Map.
        ObjectNotFoundError, BucketNotFoundError, StoreError: a file that the event names cannot be read.
    """
    run = Document(event, "event")
    place, items = run.document("manifest"), run.document("items")
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
        "run": run.text("run"),
        "objects": total,
        **counts,
        "failed": total - succeeded,
        "results": run.text("results"),
        "manifest": f"{bucket_url}/{key}",
    }
    summary_key = f"{key.rpartition('/')[0]}/summary.json"
    store.put_if_absent(summary_key, to_json(summary))
    return {**summary, "summary": f"{bucket_url}/{summary_key}"}


def _lines(chunks: Iterable[memoryview]) -> Iterator[bytes]:
    """Yield the lines of a file that is read in chunks."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        yield from filter(None, lines)
    if rest:
        yield rest
