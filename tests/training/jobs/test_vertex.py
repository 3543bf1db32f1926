import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cli.local.http import Handler, serving
from onnxlet.errors import InvalidRequestError, SettingsError, StoreError
from training.jobs.job import Job
from training.jobs.vertex import Vertex

JOB = Job(
    recipe="cnn",
    parameters={"registry": "gs://models/registry", "seed": "1"},
    image="europe-west4-docker.pkg.dev/mine/onnxlet/training:1",
    output="gs://runs/cnn",
    gpu="l4",
    instances=3,
    is_spot=True,
)
NAME = "projects/mine/locations/europe-west4/customJobs/17"


class Api(Handler):
    """Vertex AI's, as far as jobs go: what it was asked, and the states that it will tell."""

    asked: list[tuple[str, str, Any]]
    states: list[dict[str, Any]]
    refusal: bytes | None = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, self.headers["authorization"], body))
        if self.refusal is not None:
            self.reply(429, self.refusal, {"content-type": "application/json"})
        else:
            self.reply(200, json.dumps({"name": NAME}).encode(), {"content-type": "application/json"})

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["authorization"], None))
        self.reply(200, json.dumps(self.states.pop(0)).encode(), {"content-type": "application/json"})


@pytest.fixture
def api() -> Iterator[tuple[type[Api], Vertex]]:
    handler = type("BoundApi", (Api,), {"asked": [], "states": []})
    with serving(handler) as url:
        yield handler, Vertex("mine", "europe-west4", url, "token")


def states(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"state": f"JOB_STATE_{name}", **more} for name in names]


def test_a_job_arrives_as_it_was_asked_for_and_is_followed(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    handler.states += states("PENDING", "RUNNING", "RUNNING", "SUCCEEDED")
    name, lines = vertex.submit(JOB), list[str]()
    vertex.follow(name, lines.append, look_s=0)
    path, authorization, body = handler.asked[0]
    assert path == "/v1/projects/mine/locations/europe-west4/customJobs"
    assert authorization == "Bearer token"
    first, others = body["jobSpec"]["workerPoolSpecs"]
    assert first["machineSpec"] == {
        "machineType": "g2-standard-8",
        "acceleratorType": "NVIDIA_L4",
        "acceleratorCount": 1,
    }
    assert first["containerSpec"]["args"] == ["--recipe=cnn", "--registry=gs://models/registry", "--seed=1"]
    assert (first["replicaCount"], others["replicaCount"]) == (1, 2)
    assert body["jobSpec"]["scheduling"]["strategy"] == "SPOT"
    assert body["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": "gs://runs/cnn"}
    assert handler.asked[1][0] == f"/v1/{NAME}"
    assert lines == ["pending", "running", "succeeded"]


def test_why_a_job_failed_is_told(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    handler.states += states("FAILED", error={"message": "the disk is full"})
    with pytest.raises(StoreError, match="failed: the disk is full"):
        vertex.follow(NAME, lambda _line: None, look_s=0)


def test_a_refusal_is_told_in_its_own_words(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    handler.refusal = b'{"error": {"message": "quota of L4 exceeded"}}'
    with pytest.raises(StoreError, match="answers 429: quota of L4 exceeded"):
        vertex.submit(JOB)


def test_what_is_missing_is_named(api: tuple[type[Api], Vertex]) -> None:
    with pytest.raises(SettingsError, match="--project and --region"):
        Vertex("", "europe-west4")
    with pytest.raises(InvalidRequestError, match="--gpu abacus"):
        api[1].submit(replace(JOB, gpu="abacus"))
    with pytest.raises(StoreError, match="cannot be reached"):
        Vertex("mine", "here", "http://127.0.0.1:9", "token").submit(JOB)
