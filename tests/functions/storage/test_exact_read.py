import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from onnxlet.errors import (
    BucketNotFoundError,
    CredentialsError,
    DeadlineError,
    InvalidNameError,
    ObjectNotFoundError,
    StoreError,
    TooLargeError,
)
from onnxlet.limits import deadline
from onnxlet.storage import Revision, Store, exact_read, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler, serving
from tests.helpers.fake_gcs import FakeGcs

KEYS = (
    *[
        "/lead.png",
        "//lead.png",
        "lead.png",
        "lead.png/",
        "a//b",
        "a/b",
        "a/./b",
        "a/../b",
        "./a",
        "../a",
        ".",
        "..",
        "...",
    ],
    *["a/", "a//", "/", "//", "a/.", "a/..", "\x01a", "a\nb", "a\tb", "a\x7fb", "a\x00b", "a\r\nHost: x"],
    *[
        "/a%2Fb",
        "/a%b",
        "/a+b",
        "/a b",
        "/a?b#c",
        "/é",
        "/e\u0301",
        "/🎉",
        "/a\\b",
        "/%2e%2e/x",
        "/~a!'()*",
        "/" + "x" * 1023,
    ],
)
SECRETS = {"access_key_id": "AKID", "secret_access_key": "secret", "token": "a/token+=="}


class ExactS3(Handler):
    """An S3 that keeps every key as it is."""

    objects: Mapping[str, bytes]
    script: list[int]

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        key = unquote(path.removeprefix("/bucket/"))
        if self.script:
            status = self.script.pop(0)
            self.reply(status, b"<Error><Code>Scripted</Code></Error>" if status else b"", {"location": "/elsewhere"})
        elif "Signature=" not in self.headers["authorization"]:
            self.reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", {})
        elif not path.startswith("/bucket/"):
            self.reply(404, b"<Error><Code>NoSuchBucket</Code></Error>", {})
        elif key not in self.objects:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        else:
            data, version = self.objects[key], parse_qs(query).get("versionId", ["newest"])[0]
            etag = f'"{hashlib.md5(data).hexdigest()}"'
            self.reply(
                200, data, {"etag": etag, "x-amz-version-id": version, "last-modified": "Mon, 12 Jan 2026 10:20:30 GMT"}
            )


@contextmanager
def exact_s3(*script: int, **options: Any) -> Iterator[Store]:
    objects = {key: key.encode() for key in KEYS}
    with serving(type("BoundExactS3", (ExactS3,), {"objects": objects, "script": list(script)})) as url:
        yield open_store("s3://bucket", StorageSettings(s3_endpoint=url), **options)


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_exactly_the_key_that_is_named_is_read(key: str) -> None:
    with exact_s3() as store:
        stored = store.read(key)
        assert stored.data == key.encode()
        assert stored.revision.etag == f'"{hashlib.md5(key.encode()).hexdigest()}"'
        assert store.read(key, "v 1/+").revision.version == "v 1/+"


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_exactly_the_key_that_is_named_is_read_from_cloud_storage(key: str) -> None:
    fake = FakeGcs("bucket")
    with fake.serving() as endpoint:
        store = open_store("gs://bucket", StorageSettings(gcs_endpoint=endpoint))
        for other in ("lead.png", "a/b", "a", "b"):
            store.put_if_absent(other, b"another object")
        fake.buckets["bucket"][key] = type(fake.buckets["bucket"]["a"])(key.encode(), 4711)
        stored = store.read(key)
        assert stored.data == key.encode()
        assert stored.revision.version == "4711"
        assert store.read(key, "4711").data == key.encode()
        with pytest.raises(ObjectNotFoundError):
            store.read(key, "4712")


@pytest.mark.parametrize("key", KEYS, ids=ascii)
@pytest.mark.parametrize("token", ["", "a/token+=="])
def test_a_signature_is_that_of_aws(key: str, token: str) -> None:
    url = f"https://s3.eu-central-1.amazonaws.com/bucket/{quote(key, safe='/~')}?versionId=a%2Bb"
    now = datetime(2026, 11, 29, 23, 59, 1, tzinfo=UTC)
    found = exact_read.signed_headers(url, "eu-central-1", {**SECRETS, "token": token}, now)
    request = AWSRequest("GET", url, headers={"x-amz-content-sha256": exact_read.EMPTY_SHA256})
    request.context["timestamp"] = found["x-amz-date"]
    if token:
        request.headers["x-amz-security-token"] = token
    request.headers["x-amz-date"] = found["x-amz-date"]
    signer = S3SigV4Auth(Credentials("AKID", "secret", token or None), "s3", "eu-central-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert found["authorization"].endswith(f"Signature={signature}")
    assert found["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/20261129/eu-central-1/s3/aws4_request, ")


def test_the_bounds_and_errors_are_those_of_every_read() -> None:
    with exact_s3() as store:
        assert store.read("/lead.png", at_most=9).data == b"/lead.png"
        with pytest.raises(TooLargeError, match="at most 8 bytes, got 9"):
            store.read("/lead.png", at_most=8)
        with pytest.raises(ObjectNotFoundError, match="s3://bucket//gone: no such object"):
            store.read("/gone")
        with deadline.within(0), pytest.raises(DeadlineError):
            store.read("/lead.png")
    with pytest.raises(StoreError, match="did not answer as expected"):
        store.read("/lead.png")


@pytest.mark.parametrize("script", [(503,), (500, 429, 503, 502)])
def test_an_answer_that_may_pass_is_asked_for_again(script: tuple[int, ...]) -> None:
    with exact_s3(*script) as store:
        assert store.read("/lead.png").data == b"/lead.png"


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        ((503,) * 5, StoreError, r"did not answer as expected \(Scripted\)"),
        ((403,), CredentialsError, r"refuses the credentials \(Scripted\)"),
        ((307,), StoreError, r"did not answer as expected \(Scripted\)"),
        ((304,), StoreError, "status 304"),
    ],
)
def test_an_answer_that_does_not_pass_is_an_error(script: tuple[int, ...], error: type[Exception], text: str) -> None:
    with exact_s3(*script) as store, pytest.raises(error, match=text):
        store.read("/lead.png")


def test_a_missing_bucket_is_named(s3_endpoint: str) -> None:
    store = open_store("s3://no-such-bucket", StorageSettings(s3_endpoint=s3_endpoint))
    with pytest.raises(BucketNotFoundError):
        store.read("/lead.png")


def test_the_credentials_of_a_provider_are_taken() -> None:
    with exact_s3(credential_provider=lambda: {**SECRETS, "expires_at": None}) as store:
        assert store.read("/lead.png").data == b"/lead.png"


def test_credentials_that_cannot_be_had_are_an_error_and_never_another_object(monkeypatch: pytest.MonkeyPatch) -> None:
    with exact_s3() as store:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        with pytest.raises(InvalidNameError, match=r"'/lead\.png': only the credentials of AWS_ACCESS"):
            store.read("/lead.png")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")
    with pytest.raises(InvalidNameError, match=r"'/lead\.png': only the credentials of a function"):
        exact_read.gcs_request("https://storage.googleapis.com/b", "/lead.png", None, has_token=True)


def test_cloud_storage_is_shown_the_token_of_the_functions_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metadata(Handler):
        def do_GET(self) -> None:
            is_right = self.headers["metadata-flavor"] == "Google" and self.path.endswith("/default/token")
            self.reply(200, json.dumps({"access_token": "t"} if is_right else {}).encode(), {})

    request = exact_read.gcs_request("https://storage.googleapis.com/b", "a/../b", "7", has_token=True)
    assert request.url == "https://storage.googleapis.com/b/a%2F..%2Fb?generation=7"
    with serving(Metadata) as url:
        monkeypatch.setenv("GCE_METADATA_HOST", urlsplit(url).netloc)
        assert request.headers() == {"accept-encoding": "gzip", "authorization": "Bearer t"}
    with pytest.raises(CredentialsError, match="expected a token of the service account"):
        request.headers()


@pytest.mark.parametrize("root", ["memory", "file"], indirect=True)
def test_where_such_keys_cannot_be_they_are_errors(root: str) -> None:
    store = open_store(root, create=True)
    store.put_if_absent("lead.png", b"another object")
    for key in ("/lead.png", "lead.png/", "./lead.png", "a/../lead.png", "", "/"):
        for call in (
            store.read,
            lambda key: store.put_if_absent(key, b""),
            lambda key: store.read_if_changed(key, Revision("x", None)),
        ):
            with pytest.raises(InvalidNameError):
                call(key)


@pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "/" * 1025, "\ud800"], ids=ascii)
def test_a_key_that_no_store_has_is_not_asked_for(key: str) -> None:
    with exact_s3() as store, pytest.raises(InvalidNameError):
        store.read(key)


def test_a_prefix_is_a_part_of_the_key(s3_endpoint: str, gcs_endpoint: str) -> None:
    import boto3

    prefix = f"p-{uuid.uuid4()}"
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.put_object(Bucket="onnxlet-test", Key=f"{prefix}//x", Body=b"exact")
    store = open_store(f"s3://onnxlet-test/{prefix}", StorageSettings(s3_endpoint, gcs_endpoint))
    assert store.read("/x").data == b"exact"
