"""The smoke object, with both clouds' real runtimes between a real S3 (moto's) or a Cloud Storage and its results."""

import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import onnx
import pytest
from onnx import TensorProto

from onnxlet.contract.manifest import Manifest
from onnxlet.errors import StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import urls
from onnxlet_cli.deploy import objects
from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.cloud import Cloud, Options, Outputs
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs

Deliver = Callable[[str], None]
"""Tells the function of a new object, by its key."""

OTHERS: dict[str, dict[str, Any]] = {
    "aws": {"ObjectFunction": "shop-objects", "DeadLetterQueueUrl": "https://sqs/dead"},
    "gcp": {"functions": {"gcp_message": "shop-messages"}, "dead_letter_subscription": "shop-dead-letters"},
}


@dataclass
class Deployed:
    """A deployment whose places are real, and the events of whose bucket a test delivers."""

    name: str
    cloud: Cloud
    root: str
    endpoint: str
    prefix: str = "/in"
    registry: Registry = field(init=False)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = self.cloud.open_registry(f"{self.root}/registry")

    @property
    def outputs(self) -> Outputs:
        urls = f"{self.root}/registry", f"{self.root}{self.prefix}", f"{self.root}/results"
        return Outputs("http://function", *urls, OTHERS[self.name])

    @property
    def environment(self) -> dict[str, str]:
        found = {
            "ONNXLET_REGISTRY": self.outputs.registry_url,
            "ONNXLET_INPUTS": self.outputs.input_url,
            "ONNXLET_RESULTS": self.outputs.results_url,
            "ONNXLET_MODEL": "m",
        }
        return found | {"AWS_ENDPOINT_URL_S3": self.endpoint, "STORAGE_EMULATOR_HOST": self.endpoint}

    def publish(self, candidate: Candidate) -> Manifest:
        return publish(self.registry, candidate)

    def keys(self, url: str) -> list[str]:
        """The keys in the bucket under a URL."""
        _, _, prefix = urls.split(url)
        return [f"{prefix}/{key}" for key in self.cloud.open_registry(url).store.keys("")]

    def versions(self) -> list[Any]:
        """All versions of inputs and results that S3 has, and the marks of deleted ones."""
        s3 = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")
        roots = (self.outputs.input_url, self.outputs.results_url)
        found = [s3.list_object_versions(Bucket=BUCKET, Prefix=f"{urls.split(url)[2]}/") for url in roots]
        return [item for page in found for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])]

    def ask(self, manifest: Manifest, patience_s: float = 30) -> objects.ObjectAnswer | None:
        found = objects.ask(self.cloud, self.outputs, self.registry, manifest, self.lines.append, patience_s, 0.05)
        self.require_clean()
        return found

    def ask_in_vain(self, manifest: Manifest, patience_s: float = 30) -> DeploymentError:
        with pytest.raises(DeploymentError) as caught:
            objects.ask(self.cloud, self.outputs, self.registry, manifest, self.lines.append, patience_s, 0.05)
        self.require_clean()
        return caught.value

    def require_clean(self) -> None:
        """Neither the object nor its result is left."""
        assert [*self.keys(self.outputs.input_url), *self.keys(self.outputs.results_url)] == []
        if self.name == "aws":
            assert self.versions() == []

    @contextmanager
    def delivering(self, deliver: Deliver) -> Iterator[None]:
        """Deliver an event for each new object among the inputs, as the bucket would, while the context lasts."""
        is_over, told = threading.Event(), set[str]()

        def watch() -> None:
            while not is_over.wait(0.05):
                for key in self.keys(self.outputs.input_url):
                    if key not in told:
                        told.add(key)
                        deliver(key)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    @contextmanager
    def running(self, folder: Path) -> Iterator[None]:
        """The real function, told of each object."""
        with (folder / "log").open("wb") as log:
            if self.name == "aws":
                with LambdaFunction("main.aws_objects", self.environment, log) as function:

                    def deliver(key: str) -> None:
                        s3 = {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key, safe="/")}}
                        function.invoke({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]})

                    with self.delivering(deliver):
                        yield
            else:
                with (
                    serve_cloud_function("gcp_objects", self.environment, log=log) as url,
                    self.delivering(lambda key: post(url, key)),
                ):
                    yield


def post(url: str, key: str) -> None:
    headers = {
        "ce-id": "1",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/b",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "content-type": "application/json",
    }
    body = json.dumps({"bucket": BUCKET, "name": key}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as reply:
        assert reply.status == 200


@pytest.fixture
def aws(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    s3 = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return Deployed("aws", Aws(Options("shop", "us-east-1")), f"s3://{BUCKET}/{uuid.uuid4()}", s3_endpoint)


@pytest.fixture
def gcp(gcs_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_endpoint)
    cloud = Gcp(Options("shop", "europe-west1", "project-1"))
    return Deployed("gcp", cloud, f"gs://{BUCKET}/{uuid.uuid4()}", gcs_endpoint)


@pytest.fixture(params=["aws", "gcp"])
def deployed(request: pytest.FixtureRequest) -> Deployed:
    found: Deployed = request.getfixturevalue(request.param)
    return found


def named(proto: onnx.ModelProto) -> Candidate:
    return graphs.candidate("m", proto)


def test_an_object_comes_back_with_the_golden_answer_and_nothing_is_left(deployed: Deployed, tmp_path: Path) -> None:
    manifest = deployed.publish(graphs.digits_candidate(name="m"))
    with deployed.running(tmp_path):
        answer = deployed.ask(manifest)
    assert answer is not None
    assert (answer.version, answer.is_golden) == (1, True)
    assert answer.result.startswith(f"{deployed.outputs.results_url}/")
    assert deployed.lines == []


@pytest.mark.parametrize("prefix", ["/in-", "/long" + "x" * 180 + "/ü"])
def test_the_object_lies_where_objects_are_answered(deployed: Deployed, tmp_path: Path, prefix: str) -> None:
    deployed.prefix = prefix
    manifest = deployed.publish(named(graphs.sums()))
    with deployed.running(tmp_path):
        answer = deployed.ask(manifest)
    assert answer is not None
    assert answer.is_golden


@pytest.mark.parametrize(
    ("candidate", "is_golden"),
    [
        (named(graphs.two_inputs()), True),
        (named(graphs.one_row()), True),
        (named(graphs.columns()), True),
        (named(graphs.any_rank()), True),
        (named(graphs.identity(TensorProto.STRING)), True),
        (named(graphs.identity(TensorProto.BOOL)), True),
        (graphs.halves_candidate("m"), True),
        (named(graphs.identity(TensorProto.FLOAT16)), False),  # which has no JSON form
        (named(graphs.noise()), False),
        (graphs.generator_candidate(name="m"), True),
        (graphs.char_candidate(name="m"), True),
    ],
)
def test_whatever_the_model_takes_its_object_comes_back(
    aws: Deployed, tmp_path: Path, candidate: Candidate, is_golden: bool
) -> None:
    manifest = aws.publish(candidate)
    with aws.running(tmp_path):
        answer = aws.ask(manifest)
    assert answer is not None
    assert answer.is_golden == is_golden


def test_what_another_version_answers_is_not_compared(aws: Deployed, tmp_path: Path) -> None:
    aws.publish(graphs.digits_candidate(name="m"))
    staged = publish(aws.registry, named(graphs.sums()), alias=None)
    with aws.running(tmp_path):
        answer = aws.ask(staged)
    assert answer is not None
    assert (answer.version, answer.is_golden) == (1, False)


def test_without_a_result_it_says_where_to_look_and_how_long_it_waited(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "REPORT_S", 0.2)
    manifest = deployed.publish(named(graphs.sums()))
    error = deployed.ask_in_vain(manifest, patience_s=1)
    assert f"expected a result under {deployed.outputs.results_url} within 1 s, got none" in str(error)
    for command in deployed.cloud.diagnostics(deployed.outputs):
        assert command in str(error)
    assert 2 <= len(deployed.lines) <= 5
    assert "of at most 1 s" in deployed.lines[0]


def test_an_object_whose_event_was_lost_is_put_again(aws: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "AGAIN_S", 0.5)
    manifest = aws.publish(named(graphs.sums()))
    with LambdaFunction("main.aws_objects", aws.environment) as function:

        def deliver(key: str) -> None:
            if key.endswith("/1.json"):
                s3 = {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key, safe="/")}}
                function.invoke({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]})

        with aws.delivering(deliver):
            answer = aws.ask(manifest)
    assert answer is not None
    assert answer.is_golden


def scripted(deployed: Deployed, document: dict[str, Any]) -> Deliver:
    """A function that writes a result of its own."""

    def deliver(key: str) -> None:
        results = deployed.cloud.open_registry(deployed.outputs.results_url).store
        results.put_if_absent(f"{key}.m-1.0123456789abcdef.json", json.dumps(document).encode())

    return deliver


def test_no_result_of_an_object_that_was_put_again_comes_after_all_is_removed(
    aws: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "AGAIN_S", 0.5)
    manifest = aws.publish(named(graphs.identity(TensorProto.FLOAT16)))
    answer = scripted(aws, {"model": "m", "version": 1, "error": "empty", "code": "invalid_request"})

    def deliver(key: str) -> None:
        if key.endswith("/1.json"):  # the first event is late, and the second one later
            answer(key.replace("/1.json", "/0.json"))
            time.sleep(0.5)
            answer(key)

    with aws.delivering(deliver):
        aws.ask(manifest)
    aws.require_clean()


def test_an_object_that_cannot_be_answered_is_an_error_with_its_reason(deployed: Deployed) -> None:
    manifest = deployed.publish(named(graphs.sums()))
    document = {"model": "m", "version": 1, "error": "the gods are angry", "code": "inference_failed"}
    with deployed.delivering(scripted(deployed, document)):
        error = deployed.ask_in_vain(manifest)
    assert "came back without an answer: the gods are angry" in str(error)
    assert deployed.cloud.diagnostics(deployed.outputs)[0] in str(error)


@pytest.mark.parametrize(
    "predictions",
    [[0.5], [[1.0, 2.0]], ["text"], [], None, [{"label": "a", "probability": 1.0, "top": []}]],
)
def test_another_answer_is_an_error(aws: Deployed, predictions: Any) -> None:
    document = {"model": "m", "version": 1, "predictions": predictions}
    for candidate in (graphs.digits_candidate(name="m"), named(graphs.sums())):
        manifest = publish(aws.registry, candidate)
        with aws.delivering(scripted(aws, {**document, "version": manifest.version})):
            error = aws.ask_in_vain(manifest)
        assert "the golden object came back" in str(error)


def test_labels_of_another_model_are_an_error(aws: Deployed, tmp_path: Path) -> None:
    aws.publish(graphs.digits_candidate(seed=1, name="m"))
    other = Deployed("aws", aws.cloud, f"{aws.root}/other", aws.endpoint)
    manifest = other.publish(graphs.digits_candidate(name="m"))
    with aws.running(tmp_path), pytest.raises(DeploymentError, match=r"came back .* off"):
        objects.ask(aws.cloud, aws.outputs, other.registry, manifest, silent, 30, 0.05)
    aws.require_clean()


def test_what_may_not_be_removed_is_said_and_is_no_failure(aws: Deployed, tmp_path: Path) -> None:
    class Clinging(Aws):
        def remove_objects(self, url: str) -> None:
            raise StoreError(f"{url}: these credentials may not")

    manifest = aws.publish(named(graphs.sums()))
    with aws.running(tmp_path):
        cloud = Clinging(Options("shop", "us-east-1"))
        answer = objects.ask(cloud, aws.outputs, aws.registry, manifest, aws.lines.append, 30, 0.05)
    assert answer is not None
    assert [line.partition(" was not removed: ")[0].partition("onnxlet-deploy-")[0] for line in aws.lines] == [
        f"left     {aws.outputs.input_url}/",
        f"left     {aws.outputs.results_url}/{urls.split(aws.outputs.input_url)[2]}/",
    ]


def test_without_a_function_for_objects_none_is_put(deployed: Deployed) -> None:
    manifest = deployed.publish(named(graphs.sums()))
    outputs = Outputs("http://function", f"{deployed.root}/registry", f"{deployed.root}/in", f"{deployed.root}/results")
    assert objects.ask(deployed.cloud, outputs, deployed.registry, manifest, silent) is None
    deployed.require_clean()


def test_nobody_else_has_the_object_s_key(aws: Deployed) -> None:
    manifest, put = aws.publish(named(graphs.sums())), list[str]()
    with aws.delivering(put.append):
        for _ in range(2):
            aws.ask_in_vain(manifest, patience_s=0.5)
    folders = {key.rpartition("/")[0] for key in put}
    assert len(folders) == 2
    assert all(len(folder.partition(objects.PREFIX)[2]) == 32 for folder in folders)


def test_a_version_without_a_golden_example_is_asked_with_an_empty_object(aws: Deployed, tmp_path: Path) -> None:
    manifest = aws.publish(named(graphs.noise()))
    assert objects.to_object(manifest, None) == (b"", None)
    with aws.running(tmp_path):
        answer = aws.ask(manifest)
    assert (answer is not None, aws.lines) == (True, [])
