import subprocess
import sys
import time
from collections.abc import Callable

import botocore.exceptions
import pytest

from onnxlet.errors import (
    CredentialsError,
    OnnxletError,
    StoreError,
)
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from tests.helpers.shaky_s3 import refusing, shaky_store


def test_a_store_that_does_not_answer_is_an_error_within_seconds() -> None:
    store = open_store("s3://bucket/root", StorageSettings(s3_endpoint="http://127.0.0.1:9"))
    started = time.monotonic()
    with pytest.raises(StoreError, match="did not answer"):
        store.read("key")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_no_credentials_are_said_in_one_line(scheme: str) -> None:
    program = (
        "from onnxlet.storage import open_store; from onnxlet.errors import CredentialsError\n"
        f"try: open_store('{scheme}://bucket/root').read('key')\n"
        "except CredentialsError as error: print(error)"
    )
    # nothing answers at the address of the metadata service; the proxy makes that certain everywhere
    proxy = "http://127.0.0.1:9"
    environment = {"PATH": "", "HOME": "/nonexistent", **dict.fromkeys(("http_proxy", "HTTP_PROXY"), proxy)}
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1, done.stderr
    assert f"{scheme}://bucket/root/key: no credentials" in done.stdout
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("status", ["409", "412"])
def test_a_read_that_is_refused_is_no_conflict(status: str) -> None:
    for read in (lambda store: store.read("key"), lambda store: list(store.chunks("key"))):
        with shaky_store(status, key=b"1") as store, pytest.raises(StoreError, match="did not answer as expected"):
            read(store)


def test_a_store_that_never_recovers_is_an_error_of_one_line() -> None:
    with shaky_store(*["503"] * 20, key=b"1") as store, pytest.raises(StoreError, match="did not answer") as caught:
        store.read("key")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_store_that_refuses_us_is_said_to(status: str) -> None:
    def refused(call: Callable[[Store], object]) -> None:
        expected = rf"refuses the credentials \(Code{status}\): a b"
        with shaky_store(*[status] * 9) as store, pytest.raises(CredentialsError, match=expected):
            call(store)

    refused(lambda store: store.read("key"))
    refused(lambda store: store.put_if_absent("key", b""))


ROLE = "arn:aws:sts::123456789012:assumed-role/functions/onnxlet"


REFUSALS = [
    (400, "ExpiredToken", "The provided token has expired.", CredentialsError, "aws sso login"),
    (
        400,
        "AuthorizationHeaderMalformed",
        "The region &apos;us-east-1&apos; is wrong; expecting 'eu-central-1'",
        CredentialsError,
        "The region 'us-east-1' is wrong; expecting 'eu-central-1'; set AWS_REGION",
    ),
    (403, "AccessDenied", f"User: {ROLE} is not authorized to perform: kms:Decrypt", CredentialsError, "kms:Decrypt"),
    (403, "RequestTimeTooSkewed", "The difference is too large.", CredentialsError, "set this machine's clock"),
    (403, "InvalidObjectState", "The operation is not valid", StoreError, "restore it first"),
    (400, "KMS.DisabledException", "The key is disabled", StoreError, "The key is disabled"),
    (501, "NotImplemented", "A header is not implemented", StoreError, "conditional writes"),
    (503, "SlowDown", "Please reduce your request rate.", StoreError, "Please reduce your request rate"),
]


@pytest.mark.parametrize(("status", "code", "message", "error", "text"), REFUSALS, ids=[case[1] for case in REFUSALS])
@pytest.mark.parametrize("key", ["key", "/key"], ids=["by obstore", "by ourselves"])
def test_an_error_carries_the_stores_own_code_and_message(
    status: int, code: str, message: str, error: type[OnnxletError], text: str, key: str
) -> None:
    with refusing(status, code, message) as store, pytest.raises(error) as caught:
        store.read(key)
    assert type(caught.value) is error
    assert f"({code}): " in str(caught.value)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "message", "text"),
    [(*case[:3], case[4]) for case in REFUSALS],
    ids=[case[1] for case in REFUSALS],
)
def test_so_does_that_of_a_write_and_of_a_listing(status: int, code: str, message: str, text: str) -> None:
    with refusing(status, code, message) as store:
        for call in (lambda: store.put_if_absent("key", b""), lambda: store.children("models")):
            with pytest.raises(StoreError) as caught:
                call()
            assert f"({code}): " in str(caught.value)
            assert text in str(caught.value)


def test_a_client_is_shown_no_account_and_no_role() -> None:
    with refusing(403, "AccessDenied", f"User: {ROLE} is not authorized") as store, pytest.raises(StoreError) as caught:
        store.read("key")
    assert ROLE in str(caught.value)
    assert "(AccessDenied): User: (see the function's log) is not authorized" in caught.value.public
    assert "123456789012" not in caught.value.public
    assert StoreError("sa: x@project.iam.gserviceaccount.com").public == "sa: (see the function's log)"
    assert OnnxletError("a b").public == "a b"


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.UnauthorizedSSOTokenError(),
        botocore.exceptions.SSOTokenLoadError(error_msg="Token does not exist"),
        botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_single_sign_on_that_is_over_is_named(error: Exception) -> None:
    def provide() -> None:
        raise error

    store = open_store("s3://bucket", StorageSettings(s3_endpoint="http://127.0.0.1:9"), credential_provider=provide)
    with pytest.raises(CredentialsError, match=r"no credentials for the store: .*run `aws sso login`") as caught:
        store.read("key")
    assert type(error).__name__ in str(caught.value)


def test_a_connection_that_is_refused_is_no_matter_of_tls() -> None:
    with pytest.raises(StoreError, match=r"\(Connection refused\)"):
        open_store("s3://bucket", StorageSettings(s3_endpoint="https://127.0.0.1:9")).read("key")


def test_a_bucket_of_another_region_is_told_with_what_to_do() -> None:
    with refusing(301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.") as store:
        for ask in (
            lambda: store.read("key"),
            lambda: store.children("models"),
            lambda: store.put_if_absent("key", b""),
        ):
            with pytest.raises(StoreError, match="is in another region; set AWS_REGION to the bucket's region"):
                ask()
