"""A memory control group as a cloud's sandbox: the kernel ends a process in it that takes more than the function has.

As a script it sends decompression bombs to the clouds' real runtimes in groups of the clouds' sizes, and prints what
came of it. It needs root, and the controller of version 1 or 2:

    python -m tests.hostile.cgroup BOMBS [MIB ...]
"""

import http.client
import io
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local import inbox
from onnxlet_cli.local.bucket import serve_bucket
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.function_url import serve_function_url
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_publishing.publish import publish
from tests.helpers import graphs

MIB = 2**20
SIZES_MIB = (512, 1024, 1769)
"""Cloud Run's least with a whole CPU, the Terraform module's default, and the template's."""

CONCURRENCY = 4
"""Of a Cloud Run instance of one CPU: functions-framework's threads."""

DELIVERED = 10
"""Objects of one delivery, as the template's queue has it, beside the innocent one."""

SIDE_PIXELS = 7070
"""50 megapixels, the most that one image may have."""

LOG = Path(tempfile.gettempdir()) / "onnxlet-cgroup.log"

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class Group:
    """One control group with a bound."""

    def __init__(self, mib: int) -> None:
        is_v1 = (V1 / "memory.limit_in_bytes").exists()
        self._parent = V1 if is_v1 else V2
        self._folder = self._parent / f"onnxlet-{os.getpid()}-{mib}"
        self._limit = "memory.limit_in_bytes" if is_v1 else "memory.max"
        self._events = "memory.oom_control" if is_v1 else "memory.events"
        self._peak = "memory.max_usage_in_bytes" if is_v1 else "memory.peak"
        self._bytes = mib * MIB

    def __enter__(self) -> "Group":
        self._folder.mkdir()
        (self._folder / self._limit).write_text(str(self._bytes))
        return self

    def __exit__(self, *_error: object) -> None:
        for _attempt in range(100):
            try:
                self._folder.rmdir()
            except OSError:  # its last process is ending
                time.sleep(0.1)
            else:
                return

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let what is started in the context begin in the group; this process leaves it again."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (self._parent / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self) -> int:
        """How many processes of the group the kernel has ended."""
        fields = dict(line.split() for line in (self._folder / self._events).read_text().splitlines())
        return int(fields["oom_kill"])

    def peak_mib(self) -> int:
        """The most that the group has taken."""
        file = self._folder / self._peak
        return int(file.read_text()) // MIB if file.exists() else 0


def is_possible() -> bool:
    """Whether this process may make such groups."""
    try:
        with Group(512) as group, group.inside():
            return group.kills() == 0
    except (OSError, KeyError):
        return False


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def bombs() -> dict[str, tuple[str, bytes]]:
    """Small files of as many pixels as an image may have, by what they are, with their media types."""
    size = (SIDE_PIXELS, SIDE_PIXELS)
    grey, colours, exif = Image.new("L", size), Image.new("RGB", size), Image.Exif()
    exif[0x0112] = 6
    lossless = {"lossless": True, "quality": 0, "method": 0}
    return {
        "webp": ("image/webp", encoded(colours, "WEBP", **lossless)),
        "webp alpha": ("image/webp", encoded(Image.new("RGBA", size, (1, 2, 3, 4)), "WEBP", **lossless)),
        "png palette": ("image/png", encoded(Image.new("P", size), "PNG", transparency=0)),
        "png colours": ("image/png", encoded(colours, "PNG")),
        "png alpha": ("image/png", encoded(Image.new("RGBA", size), "PNG")),
        "png 16 bits": ("image/png", encoded(Image.new("I;16", size), "PNG")),
        "png 1 bit": ("image/png", encoded(Image.new("1", size), "PNG")),
        "jpeg": ("image/jpeg", encoded(colours, "JPEG", exif=exif)),
        "jpeg progressive": ("image/jpeg", encoded(colours, "JPEG", progressive=True, subsampling=0)),
        "jpeg grey": ("image/jpeg", encoded(grey, "JPEG", progressive=True)),
    }


def innocent() -> bytes:
    """A picture as anybody sends it."""
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    return encoded(Image.fromarray(pixels), "PNG")


def publish_photos(registry: Registry) -> None:
    """Publish a classifier of photos, 224 x 224, as most are."""
    from dataclasses import replace

    model = graphs.model(
        [
            helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
            helper.make_node("Softmax", ["mean"], ["output"]),
        ],
        [("input", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [("output", TensorProto.FLOAT, ["batch", 3])],
        {"axes": np.array([2, 3], np.int64)},
    )
    onnx.checker.check_model(model)
    candidate = graphs.candidate("photos", model)
    declaration = ImagePreprocess(224, 224, 3, layout="NCHW")
    publish(
        registry,
        replace(candidate, preprocess=declaration, classification=Classification(("red", "green", "blue"), "none")),
    )


@dataclass
class Report:
    """What came of one run."""

    kills: int = 0
    peak_mib: int = 0
    bombs: Counter[str] = field(default_factory=Counter)
    """How they were answered, by kind and status."""
    innocents: Counter[str] = field(default_factory=Counter)


def post(url: str, media_type: str, body: bytes) -> str:
    """The status of the answer, or what kept it from coming."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    try:
        connection.request("POST", "/predict/photos", body, {"content-type": media_type})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def storm(url: str, clients: int, total: int, report: Report) -> None:
    """Send so many bombs by so many clients at a time, with a bystander who asks all the while."""
    numbers, lock, is_over = count(), threading.Lock(), threading.Event()
    kinds = list(bombs().items())

    def throw() -> None:
        while True:
            with lock:
                number = next(numbers)
            if number >= total:
                return
            name, (media_type, body) = kinds[number % len(kinds)]
            status = post(url, media_type, body)
            with lock:
                report.bombs[f"{name} {status}"] += 1

    def ask() -> None:
        while not is_over.is_set():
            report.innocents[post(url, "image/png", innocent())] += 1
            is_over.wait(0.1)

    bystander = threading.Thread(target=ask)
    throwers = [threading.Thread(target=throw) for _ in range(clients)]
    for thread in (bystander, *throwers):
        thread.start()
    for thread in throwers:
        thread.join()
    is_over.set()
    bystander.join()


def environment(root: str) -> dict[str, str]:
    return {
        "ONNXLET_REGISTRY": root,
        "ONNXLET_MODEL": "photos",
        "ONNXLET_TIMEOUT_S": "60",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "",
    }


def over_http(cloud: str, root: str, mib: int, total: int) -> Report:
    """Bombs to one cloud's function for HTTP in a group of so many MiB."""
    report = Report()
    with LOG.open("ab") as log, Group(mib) as group, ExitStack() as stack:
        settings = environment(root)
        if cloud == "aws":
            settings["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(mib)
            function = LambdaFunction("main.aws_http", settings, log)
            with group.inside():
                stack.enter_context(function)
            url = stack.enter_context(serve_function_url(function.invoke))
        else:
            settings |= {"K_SERVICE": "onnxlet", "THREADS": str(CONCURRENCY), "ONNXLET_MEMORY_MIB": str(mib // 2)}
            with group.inside():
                url = stack.enter_context(serve_cloud_function("gcp_http", settings, log=log))
        post(url, "image/png", innocent())
        storm(url, 1 if cloud == "aws" else CONCURRENCY, total, report)
        report.kills, report.peak_mib = group.kills(), group.peak_mib()
    return report


def deliveries(root: str, mib: int, total: int, folder: Path) -> Report:
    """Deliveries of ten bombs and one innocent object to Lambda's function for objects."""
    report, sent, results = Report(), folder / "sent", folder / "results"
    sent.mkdir(parents=True)
    with LOG.open("ab") as log, ExitStack() as stack:
        group = stack.enter_context(Group(mib))
        settings = environment(root) | {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(mib),
            "AWS_ENDPOINT_URL_S3": stack.enter_context(serve_bucket(sent)),
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": "us-east-1",
            "ONNXLET_RESULTS": results.as_uri(),
        }
        function = LambdaFunction("main.aws_objects", settings, log)
        with group.inside():
            stack.enter_context(function)
        objects = cycle(bombs().values())
        for number in range(max(1, total // DELIVERED)):
            bodies = {f"{number}-innocent.png": innocent()}
            for index, (media_type, body) in enumerate(islice(objects, DELIVERED)):
                bodies[f"{number}-{index}.{media_type.rpartition('/')[2]}"] = body
            for key, body in bodies.items():
                (sent / key).write_bytes(body)
            event = {"Records": [_message(sent, key) for key in bodies]}
            failed = {item["itemIdentifier"] for item in function.invoke(event, 120)["batchItemFailures"]}
            for key in bodies:
                outcome = "again" if key in failed else _outcome(results, key)
                (report.innocents if "innocent" in key else report.bombs)[outcome] += 1
        report.kills, report.peak_mib = group.kills(), group.peak_mib()
    return report


def _message(folder: Path, key: str) -> dict[str, Any]:
    body = json.dumps(inbox.s3_notification(folder, key))
    return {"eventSource": "aws:sqs", "messageId": key, "body": body}


def _outcome(results: Path, key: str) -> str:
    """How an object was answered, by its result."""
    (file,) = results.glob(f"{key}.photos-1.*.json")
    document = json.loads(file.read_text())
    return str(document.get("code", "answered"))


def run(total: int, sizes_mib: tuple[int, ...] = SIZES_MIB) -> dict[str, Report]:
    """All of it, by the runtime and the group's size."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        root = (Path(folder) / "registry").as_uri()
        publish_photos(Registry(open_store(root, create=True)))
        for mib in sizes_mib:
            for cloud in ("gcp", "aws"):
                found[f"{cloud} http {mib} MiB"] = over_http(cloud, root, mib, total)
            found[f"aws objects {mib} MiB"] = deliveries(root, mib, total, Path(folder) / str(mib))
    return found


if __name__ == "__main__":
    for name, report in run(int(sys.argv[1]), tuple(map(int, sys.argv[2:])) or SIZES_MIB).items():
        sys.stdout.write(f"{name}: {report}\n")
