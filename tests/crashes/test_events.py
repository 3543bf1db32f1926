"""The function for objects killed at each write of its results: the event comes again, and each has one, whole."""

import json
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_cli.local.runtime_api import FunctionError
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.crashes.front import MOMENTS, Front, Moment
from tests.crashes.functions import s3_event, send_signal
from tests.helpers import graphs
from tests.test_clouds import png

OBJECTS = 4
NEVER = 10**6


class Ground:
    """A function for objects, whose store is behind a front."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.root = str(uuid.uuid4())
        self.bucket = open_store(f"s3://{BUCKET}", front.storage)
        registry = Registry(open_store(f"s3://{BUCKET}/{self.root}/registry", front.storage))
        self.version = publish(registry, graphs.digits_candidate()).version

    @contextmanager
    def running(self, log: Path) -> Iterator[None]:
        environment = {
            "ONNXLET_REGISTRY": f"s3://{BUCKET}/{self.root}/registry",
            "ONNXLET_MODEL": "digits",
            "ONNXLET_RESULTS": f"s3://{BUCKET}/{self.root}/out",
        }
        with self.front.serving() as url, log.open("wb") as file:
            variables = {**environment, "AWS_ENDPOINT_URL": url}
            with LambdaFunction("main.aws_objects", variables, file) as self.function:
                yield

    def check_killed_at(self, write: int, moment: Moment) -> None:
        """Kill the function at one of its writes for new objects, and deliver the event again, twice."""
        names = [str(uuid.uuid4()) for _ in range(OBJECTS)]
        keys = [f"{self.root}/in/{name}.png" for name in names]
        for key in keys:
            self.bucket.put_if_absent(key, png())
        self.front.aim(write, moment)
        self.front.victim(lambda: send_signal(self.function, signal.SIGKILL))
        with pytest.raises(FunctionError, match="its process ended"):
            self.function.invoke(s3_event(*keys))
        before = self.results(names)
        self.front.aim(NEVER, moment)
        for _ in range(2):
            self.function.invoke(s3_event(*keys))
            found = self.results(names)
            assert len(found) == OBJECTS
            assert before.items() <= found.items(), "a result that was there stays as it is"

    def results(self, names: list[str]) -> dict[str, bytes]:
        """The results for objects, by key; each is whole."""
        keys = self.bucket.keys(f"{self.root}/out")
        found = {key: self.bucket.read(key).data for key in keys if any(name in key for name in names)}
        for key, data in found.items():
            result = json.loads(data)
            assert result["version"] == self.version
            assert len(result["predictions"]) > 0
            assert result["source"].rpartition("/")[2] in key
        return found


def test_a_function_killed_while_it_writes_results_writes_each_once(tmp_path: Path, s3_endpoint: str) -> None:
    ground = Ground(Front(s3_endpoint))
    with ground.running(tmp_path / "log"):
        for write, moment in zip((0, 2, OBJECTS - 1), MOMENTS, strict=True):
            ground.check_killed_at(write, moment)


@pytest.mark.faults
def test_a_function_killed_at_any_write_of_a_result_writes_each_once(tmp_path: Path, s3_endpoint: str) -> None:
    ground = Ground(Front(s3_endpoint))
    with ground.running(tmp_path / "log"):
        for write in range(OBJECTS):
            for moment in MOMENTS:
                ground.check_killed_at(write, moment)
