"""Events: photos that arrive in a bucket and in the batches of a queue, processed together or one by one."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any

from onnxlet.storage import Store
from onnxlet_cli.bench.models import load_model
from onnxlet_cli.bench.options import Options, Progress
from onnxlet_cli.bench.payloads import photo, read_label
from onnxlet_cli.bench.results import Comparison, Panel, Section
from onnxlet_cli.bench.series import Series, interleave
from onnxlet_cli.bench.stage import MEMORY_MIB, PHOTO_TO_LABEL, Stage, open_stage
from onnxlet_cli.bench.storage import BUCKET
from onnxlet_cli.bench.worker import Worker
from onnxlet_cli.errors import WrongAnswerError

PHOTOS = 64
BATCH = 10
"""Messages that a queue passes to a function at a time, by default."""

MODEL = "mobile"
RESULTS = "results"

NOTES = (
    "64 JPEGs of 224 x 224 pixels in SQS batches of 10, each an S3 notification; each result is an object in S3.",
    "Each processes the same batches in one warm process, with a thread for each of this machine's cores.",
)


def measure_events(options: Options, progress: Progress) -> Section:
    """Time all photos from the bucket to their results: onnxlet and the baseline in turns.

    Raises:
        MachineError: moto is not installed.
        FreshProcessError: A process has ended.
        WrongAnswerError: A photo has no result or a wrong one.
    """
    progress(f"events: {PHOTOS} photos")
    with open_stage(options.throttle) as stage:
        model = load_model(MODEL, options.cache)
        stage.upload(f"models/{MODEL}.onnx", model.path.read_bytes())
        stage.publish(f"{MODEL}-photo", model, **PHOTO_TO_LABEL)
        variables = {
            "ONNXLET_MODEL": f"{MODEL}-photo",
            "ONNXLET_RESULTS": f"s3://{BUCKET}/{RESULTS}",
            "LABELS": str(stage.write_labels()),
            "RESULTS": RESULTS,
        }
        with ExitStack() as stack:
            ours, other = (stack.enter_context(stage.worker(model, MEMORY_MIB, variables)) for _ in range(2))
            numbers = count()
            cases = {
                "aws_objects": lambda: _round(stage, ours, "aws_objects", next(numbers)),
                "one by one": lambda: _round(stage, other, "one by one", next(numbers)),
            }
            rates: dict[str, list[float]] = {case: [] for case in cases}
            labels: dict[str, list[str]] = {}
            for case, (seconds, names) in interleave(cases, options.runs):
                rates[case].append(PHOTOS / seconds)
                labels[case] = names
    if labels["aws_objects"] != labels["one by one"]:
        raise WrongAnswerError("events: expected the labels of the baseline, got others from aws_objects")
    series = {case: Series(f"{MODEL}: {case}", tuple(samples), "objects/s") for case, samples in rates.items()}
    what = f"{PHOTOS} photos, objects per second: aws_objects / one by one"
    comparison = Comparison("events / one by one", what, series["aws_objects"], series["one by one"])
    facts = {"throttle": vars(options.throttle)}
    bars = {"onnxlet": series["aws_objects"], "one by one": series["one by one"]}
    panels = [Panel(f"Events, {PHOTOS} photos in a queue", bars)]
    title = f"Events: photos in a bucket to results, S3 {options.throttle}"
    return Section("events", title, list(series.values()), [comparison], NOTES, panels, facts)


def _round(stage: Stage, process: Worker, case: str, number: int) -> tuple[float, list[str]]:
    """Put new photos into the bucket, and process them; return the seconds and the labels."""
    bucket = stage.open(f"s3://{BUCKET}")
    keys = [f"photos-{number}/{index}.jpg" for index in range(PHOTOS)]

    def put(index: int) -> None:
        bucket.put_if_absent(keys[index], photo(index))
        bucket.read(keys[index])  # the front of the S3 then has it in memory

    _together(put)
    (seconds,) = process.measure(case, 1, [to_event(keys[start : start + BATCH]) for start in range(0, PHOTOS, BATCH)])
    return seconds, _labels(stage.open(f"s3://{BUCKET}/{RESULTS}"), f"photos-{number}")


def _labels(results: Store, prefix: str) -> list[str]:
    """Return the labels in the results, in the order of the photos.

    Raises:
        WrongAnswerError: A photo has no result.
    """
    names = results.children(prefix)
    if len(names) != PHOTOS:
        raise WrongAnswerError(f"events: expected {PHOTOS} results, got {len(names)}")
    ordered = sorted(names, key=lambda name: int(name.partition(".")[0]))
    return list(_together(lambda index: read_label(json.loads(results.read(f"{prefix}/{ordered[index]}").data))))


def to_event(keys: list[str]) -> dict[str, Any]:
    """Return a batch of SQS messages, each with S3's notification of one object."""
    return {"Records": [_to_message(key) for key in keys]}


def _to_message(key: str) -> dict[str, Any]:
    notification = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}},
    }
    return {
        "messageId": key,
        "eventSource": "aws:sqs",
        "body": json.dumps({"Records": [notification]}),
        "attributes": {},
        "messageAttributes": {},
    }


def _together(step: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(step, range(PHOTOS)))
