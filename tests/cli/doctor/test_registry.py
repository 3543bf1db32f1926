import json
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from onnxlet.contract import layout
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.doctor import registry as registries
from onnxlet_cli.doctor.finding import Finding
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.local.http import HOST, Handler, serving
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs, keys
from tests.helpers.damage import resealed
from tests.helpers.findings import one, only, wrong


def look(registry: Registry, examination: Examination) -> list[Finding]:
    return list(registries.examine(registry, examination))


class TestAliases:
    def test_a_registry_in_order_has_no_finding(self, registry: Registry, examination: Examination) -> None:
        found = look(registry, examination)
        assert wrong(found) == []
        assert [finding.code for finding in found] == ["registry", "alias", "artifacts", "forms", "golden", "golden"]

    def test_a_version_that_is_not_there_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        (folder / layout.version_key("digits", 2)).unlink()
        words = ("digits@live", "version 2", "models/digits/versions/2.json", "onnxlet promote digits VERSION")
        only(look(registry, examination), "error", "alias_version_missing", *words)

    def test_a_missing_version_to_roll_back_to_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        (folder / layout.version_key("digits", 1)).unlink()
        only(look(registry, examination), "warning", "rollback_missing", "no version 1", "digits/versions/1.json")

    def test_an_alias_that_breaks_the_contract_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        (folder / layout.alias_key("digits", "live")).write_text('{"schema": 7}')
        only(look(registry, examination), "error", "alias_unreadable", "schema", "models/digits/aliases/live.json")

    def test_a_signature_of_another_manifest_is_named(
        self, folder: Path, registry: Registry, examination: Examination, tmp_path: Path
    ) -> None:
        publish(registry, graphs.digits_candidate(), sign=keys.sign(tmp_path))
        assert wrong(look(registry, examination)) == []
        for key in (layout.alias_key("digits", "live"), layout.version_key("digits", 3)):
            path = folder / key
            text = path.read_text().replace('"created_at":"20', '"created_at":"19')
            path.write_bytes(resealed(json.loads(text)))
        only(look(registry, examination), "error", "signature_invalid", "digits@live", "version 3", "--sign")

    def test_a_manifest_that_breaks_the_contract_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        (folder / layout.version_key("digits", 2)).write_text("{}")
        only(look(registry, examination), "error", "version_unreadable", "digits/versions/2.json")

    def test_a_manifest_other_than_the_alias_has_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        changed = replace(registry.version("digits", 2), metrics={"accuracy": 0.99})
        (folder / layout.version_key("digits", 2)).write_bytes(changed.to_json())
        only(look(registry, examination), "error", "alias_manifest_differs", "onnxlet promote digits 2")

    def test_a_canary_that_is_not_there_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        registry.promote("digits", 1)
        registry.share("digits", 2, "canary", 0.1)
        (folder / layout.version_key("digits", 2)).unlink()
        found = look(registry, examination)
        one(found, "error", "alias_version_missing", "version 2")

    def test_a_model_without_a_live_version_is_named(
        self, folder: Path, registry: Registry, examination: Examination
    ) -> None:
        (folder / layout.alias_key("digits", "live")).unlink()
        only(look(registry, examination), "warning", "live_missing", "onnxlet promote digits 2")

    def test_an_empty_registry_is_named(self, tmp_path: Path, examination: Examination) -> None:
        empty = Registry(open_store((tmp_path / "empty").as_uri(), create=True))
        only(look(empty, examination), "warning", "registry_empty", "onnxlet publish")


class TestAccess:
    def test_a_folder_that_is_missing_is_named(self, tmp_path: Path) -> None:
        only(list(registries.open_at(str(tmp_path / "none"))), "error", "registry_missing", "none")

    def test_a_url_that_is_none_of_a_store_is_named(self) -> None:
        only(list(registries.open_at("ftp://host/models")), "error", "registry_url", "ftp://host/models")

    def test_no_credentials_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        findings = list(registries.open_at("s3://bucket/models"))
        line = only(findings, "error", "registry_credentials", "aws configure").to_line()
        assert line.count("s3://") == line.count("aws configure") == 1

    def test_a_missing_bucket_is_named(
        self, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, examination: Examination
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        found = look(opened("s3://no-such-bucket/models"), examination)
        one(found, "error", "registry_missing", "s3://no-such-bucket/models")
        one(found, "ok", "clock")

    def test_a_store_that_does_not_answer_is_named(
        self, monkeypatch: pytest.MonkeyPatch, examination: Examination
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{free_port()}")
        only(look(opened("s3://bucket/models"), examination), "error", "registry_unreachable", "AWS_ENDPOINT_URL")

    @pytest.mark.parametrize(
        ("s3_code", "code", "words"),
        [
            ("AccessDenied", "registry_list_denied", "s3:ListBucket"),
            ("InvalidAccessKeyId", "registry_credentials", "aws sso login"),
            ("ExpiredToken", "registry_credentials", "ExpiredToken"),
            ("SignatureDoesNotMatch", "registry_credentials", "SignatureDoesNotMatch"),
            ("RequestTimeTooSkewed", "clock_skew", "timedatectl"),
        ],
    )
    def test_a_refusal_is_named_by_its_cause(
        self, monkeypatch: pytest.MonkeyPatch, examination: Examination, s3_code: str, code: str, words: str
    ) -> None:
        with refusing(s3_code) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            only(look(opened("s3://bucket/models"), examination), "error", code, words)

    def test_a_clock_that_is_off_is_named(self, monkeypatch: pytest.MonkeyPatch, examination: Examination) -> None:
        with refusing("AccessDenied", seconds=-7200) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            found = look(opened("s3://bucket/models"), examination)
        one(found, "error", "clock_skew", "s ahead of theirs")

    def test_a_bucket_in_order_has_no_finding(
        self, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, examination: Examination
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        registry = opened(f"s3://{BUCKET}/{uuid.uuid4()}")
        publish(registry, graphs.candidate("sums", graphs.sums()))
        assert wrong(look(registry, examination)) == []


class TestPermissions:
    """With moto's own IAM, which refuses what no policy allows."""

    @pytest.mark.parametrize(
        ("allowed", "code", "words"),
        [
            (["s3:ListBucket", "s3:GetObject"], None, ""),
            (["s3:ListBucket"], "registry_read_denied", "s3:GetObject"),
            (["s3:GetObject"], "registry_list_denied", "s3:ListBucket"),
        ],
    )
    def test_a_missing_permission_is_named(
        self,
        iam_endpoint: str,
        monkeypatch: pytest.MonkeyPatch,
        examination: Examination,
        allowed: list[str],
        code: str | None,
        words: str,
    ) -> None:
        key = user(iam_endpoint, allowed)
        monkeypatch.setenv("AWS_ENDPOINT_URL", iam_endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        found = look(opened(f"s3://{BUCKET}/models"), examination)
        if code is None:
            assert wrong(found) == []
        else:
            assert {finding.code for finding in wrong(found)} == {code}
            assert words in wrong(found)[0].remedy


@pytest.fixture(scope="module")
def iam_endpoint(sound: Path) -> Iterator[str]:
    """A moto of our own with the sound registry, whose IAM begins to refuse when `user` has made one."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            endpoint = f"http://localhost:{port}"
            wait_for(port)
            s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
            s3.create_bucket(Bucket=BUCKET)
            for path in sound.rglob("*"):
                if path.is_file() and path.name != ".lock":
                    s3.put_object(Bucket=BUCKET, Key=f"models/{path.relative_to(sound)}", Body=path.read_bytes())
            yield endpoint
        finally:
            process.terminate()


def user(endpoint: str, actions: list[str]) -> dict[str, str]:
    """The key of a user who may do so much; from then on moto refuses all else."""
    reset_auth(endpoint, 1_000_000)
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1")
    name = f"user-{uuid.uuid4()}"
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=policy)
    key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
    reset_auth(endpoint, 0)
    return key


def reset_auth(endpoint: str, free_actions: int) -> None:
    headers = {"content-type": "text/plain"}
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", str(free_actions).encode(), headers)
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 200


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("moto did not start")


def opened(url: str) -> Registry:
    with pytest.raises(StopIteration) as end:
        next(registries.open_at(url))
    found = end.value.value
    assert isinstance(found, Registry)
    return found


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def refusing(code: str, seconds: float = 0) -> Iterator[str]:
    """An S3 that refuses everything with this code, at another time."""

    class Refusal(Handler):
        def do_GET(self) -> None:
            self.reply(403, f"<Error><Code>{code}</Code></Error>".encode(), {"content-type": "application/xml"})

        do_HEAD = do_GET

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + seconds)

    with serving(Refusal) as url:
        yield url
