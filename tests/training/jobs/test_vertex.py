import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onnxlet_cli.jobs import Account, run_job
from onnxlet_cli.local.http import Handler, serving
from onnxlet_publishing.errors import AccountError, UsageError
from onnxlet_training.errors import JobError
from onnxlet_training.jobs.job import Job
from onnxlet_training.jobs.vertex import FAILED, MACHINES, MAX_MISSED, SUCCEEDED, Vertex, access_token, to_request
from tests.helpers import forked

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


DISCOVERY = json.loads(Path(__file__).with_name("vertex_schemas.json").read_text())
"""Google's own description of the API, as far as it is of custom jobs."""


def faults(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield what Google's description of a request's body does not have, or has as another type."""
    schema = DISCOVERY["schemas"][schema["$ref"]] if "$ref" in schema else schema
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if type(value) is not kinds[schema["type"]] and schema.get("format") not in {"int64", "google-duration"}:
        yield f"{path}: expected {schema['type']}, got {value!r}"
    elif isinstance(value, dict) and "properties" in schema:
        for name, item in value.items():
            known = schema["properties"].get(name)
            if known is None or known.get("readOnly"):
                yield f"{path}.{name}: not a field that can be set"
            else:
                yield from faults(item, known, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(item, schema["items"], f"{path}[{index}]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: expected one of {schema['enum']}, got {value!r}"


CUSTOM_JOB = {"$ref": "GoogleCloudAiplatformV1CustomJob"}


class Api(Handler):
    """Vertex AI's, as far as jobs go: what it was asked, and the states that it will tell."""

    asked: list[tuple[str, str, Any]]
    states: list[dict[str, Any]]
    refusal: bytes | None = None
    tokens = ("token",)
    """Tokens that the API accepts."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, self.headers["authorization"], body))
        if self.refusal is not None:
            self.reply(429, self.refusal, {"content-type": "application/json"})
        else:
            self.reply(200, json.dumps({"name": NAME}).encode(), {"content-type": "application/json"})

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("authorization", ""), None))
        if self.headers.get("metadata-flavor") == "Google":
            self.answer(200, {"access_token": "of-the-machine"})
        elif self.headers["authorization"].removeprefix("Bearer ") not in self.tokens:
            self.answer(401, {"error": {"message": "the token has expired"}})
        else:
            found = self.states.pop(0)
            self.answer(found.pop("status", 200), found)

    def answer(self, status: int, document: dict[str, Any]) -> None:
        self.reply(status, json.dumps(document).encode(), {"content-type": "application/json"})


@pytest.fixture
def api() -> Iterator[tuple[type[Api], Vertex]]:
    handler = type("BoundApi", (Api,), {"asked": [], "states": []})
    with serving(handler) as url:
        yield handler, Vertex("mine", "europe-west4", url, lambda: "token")


def gcloud(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Replace Google's command, the only program on the PATH: no test may request real credentials."""
    (folder / "bin").mkdir()
    program = folder / "bin/gcloud"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))


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
    assert body["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": f"gs://runs/cnn/{body['displayName']}"}
    assert body["displayName"].startswith("onnxlet-cnn-")
    assert handler.asked[1][0] == f"/v1/{NAME}"
    assert lines == ["pending", "running", "succeeded"]


def test_a_job_runs_as_the_service_account_that_is_named(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    vertex.submit(JOB, "onnxlet-training@mine.iam.gserviceaccount.com")
    vertex.submit(JOB)
    (_, _, named), (_, _, unnamed) = handler.asked
    assert named["jobSpec"]["serviceAccount"] == "onnxlet-training@mine.iam.gserviceaccount.com"
    assert "serviceAccount" not in unnamed["jobSpec"]


def test_a_job_is_told_how_its_user_reaches_the_registry(
    api: tuple[type[Api], Vertex], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, vertex = api
    gcloud(tmp_path, monkeypatch, "echo token")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", vertex._endpoint)
    account = Account(project="mine", region="europe-west4")

    def told() -> dict[str, str]:
        handler.states += states("SUCCEEDED")
        handler.asked.clear()
        run_job("vertex", job, account)
        (_, _, body), _ = handler.asked
        pools = body["jobSpec"]["workerPoolSpecs"]
        (first, *others) = [pool["containerSpec"]["env"] for pool in pools]
        assert all(each == first for each in others), "each machine of a job publishes to one registry"
        return {variable["name"]: variable["value"] for variable in first}

    job = JOB
    assert told() == {}
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "storage.internal:8080")
    assert told() == {"STORAGE_EMULATOR_HOST": "http://storage.internal:8080"}
    job = replace(JOB, parameters={"registry": "s3://models/registry"})
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com")
    assert told() == {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
    }


@pytest.mark.parametrize("gpu", MACHINES)
@pytest.mark.parametrize("instances", [1, 3])
def test_each_request_is_one_by_googles_own_description(gpu: str | None, instances: int) -> None:
    job = replace(JOB, gpu=gpu, instances=instances, environment={"STORAGE_EMULATOR_HOST": "https://storage.internal"})
    for account in ("", "onnxlet-training@mine.iam.gserviceaccount.com"):
        assert list(faults(to_request(job, job.name(), account), CUSTOM_JOB, "customJob")) == []
    assert DISCOVERY["method"] == "v1/projects/{projectsId}/locations/{locationsId}/customJobs"


def test_googles_own_description_knows_what_is_wrong() -> None:
    """Check the check above, which might otherwise accept anything."""
    body = to_request(JOB, "one", "")
    body["state"] = "JOB_STATE_RUNNING"
    body["jobSpec"]["scheduling"]["strategy"] = "CHEAP"
    pool = body["jobSpec"]["workerPoolSpecs"][0]
    pool["replicaCount"] = 1
    pool["containerSpec"] = {"imageUri": "image", "env": {"A": "B"}, "environment": []}
    pool["machineSpec"] = {"acceleratorType": "NVIDIA_ABACUS", "acceleratorCount": "1"}
    found = "\n".join(faults(body, CUSTOM_JOB, "customJob"))
    for words in (
        "customJob.state: not a field",
        "strategy: expected one",
        "env: expected array",
        "environment: not",
        "acceleratorType: expected one",
        "acceleratorCount: expected integer",
    ):
        assert words in found


def test_the_states_that_end_a_job_are_googles() -> None:
    known = DISCOVERY["schemas"]["GoogleCloudAiplatformV1CustomJob"]["properties"]["state"]["enum"]
    assert {f"JOB_STATE_{state.upper()}" for state in (SUCCEEDED, *FAILED)} <= set(known)


def test_why_a_job_failed_is_told(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    handler.states += states("FAILED", error={"message": "the disk is full"})
    with pytest.raises(JobError, match="failed: the disk is full"):
        vertex.follow(NAME, lambda _line: None, look_s=0)


def test_a_refusal_is_told_in_its_own_words(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    handler.refusal = b'{"error": {"message": "quota of L4 exceeded"}}'
    with pytest.raises(JobError, match="answers 429: quota of L4 exceeded") as caught:
        vertex.submit(JOB)
    assert not caught.value.is_retryable


def test_what_is_missing_is_named(api: tuple[type[Api], Vertex]) -> None:
    with pytest.raises(UsageError, match="--project and --region"):
        Vertex("", "europe-west4")
    with pytest.raises(UsageError, match="--gpu abacus"):
        api[1].submit(replace(JOB, gpu="abacus"))
    with pytest.raises(JobError, match="cannot be reached"):
        Vertex("mine", "here", "http://127.0.0.1:9", lambda: "token").submit(JOB)
    with pytest.raises(UsageError, match="--data /home/me: expected a URL of gs://"):
        api[1].submit(replace(JOB, parameters={"data": "/home/me"}))
    with pytest.raises(UsageError, match="--output s3://runs: expected a URL of gs://"):
        api[1].submit(replace(JOB, output="s3://runs"))


def test_the_region_of_aws_is_not_googles(tmp_path: Path) -> None:
    options = ["--project", "mine", "--image", JOB.image, "--output", JOB.output, "--registry", "gs://models/registry"]
    environment = {**os.environ, "AWS_REGION": "eu-central-1"}
    done = forked.run(["train", "digits", "--on", "vertex", *options], tmp_path, environment)
    assert done.returncode == 1
    assert "--project and --region: expected both for Vertex AI" in done.stderr


def test_a_token_that_runs_out_while_a_job_is_followed_is_replaced(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    handler.states += states("RUNNING", "SUCCEEDED")
    tokens = iter(["token", "the next hour's"])
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        handler.tokens = ("the next hour's",)

    Vertex("mine", "europe-west4", vertex._endpoint, lambda: next(tokens)).follow(NAME, report, look_s=0)
    assert lines == ["running", "succeeded"]
    with pytest.raises(AccountError, match="401: the token has expired"):
        vertex.follow(NAME, report, look_s=0)


def test_a_failure_of_the_api_does_not_end_the_following(api: tuple[type[Api], Vertex]) -> None:
    handler, vertex = api
    failures = [{"status": 503} for _ in range(MAX_MISSED - 1)]
    handler.states += [*failures, *states("RUNNING"), {"status": 500}, *states("SUCCEEDED")]
    lines: list[str] = []
    vertex.follow(NAME, lines.append, look_s=0)
    assert lines == ["running", "succeeded"]
    handler.states += [{"status": 503} for _ in range(MAX_MISSED)]
    with pytest.raises(JobError, match="answers 503") as caught:
        vertex.follow(NAME, lines.append, look_s=0)
    assert caught.value.is_retryable


def test_the_users_own_login_goes_before_the_machines(
    api: tuple[type[Api], Vertex], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, vertex = api
    gcloud(tmp_path, monkeypatch, '[ "$*" = "auth print-access-token" ] && echo of-the-user')
    assert access_token(vertex._endpoint) == "of-the-user"
    assert handler.asked == []
    (tmp_path / "bin/gcloud").write_text("#!/bin/sh\nexit 1\n")
    assert access_token(vertex._endpoint) == "of-the-machine"
    with pytest.raises(AccountError, match="run `gcloud auth login`"):
        access_token("http://127.0.0.1:9")


def test_the_command_submits_follows_and_tells_the_end(
    api: tuple[type[Api], Vertex],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler, vertex = api
    handler.states += states("SUCCEEDED")
    gcloud(tmp_path, monkeypatch, "echo token")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", f"{vertex._endpoint}/")
    run_job("vertex", JOB, Account(project="mine", region="europe-west4"))
    assert capsys.readouterr().out.splitlines() == [
        f"Vertex AI runs {NAME}",
        "succeeded",
        f"{NAME} is done; its version is in gs://models/registry",
    ]
