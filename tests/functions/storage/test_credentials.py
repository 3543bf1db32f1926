import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from onnxlet.errors import CredentialsError
from onnxlet.storage.connection import ContainerCredentials
from onnxlet.storage.credentials import ContainerCredentialProvider
from onnxlet_cli.local.http import Handler, serving

TOKEN = "opens-it"
CREDENTIALS = {
    "AccessKeyId": "key",
    "SecretAccessKey": "secret",
    "Token": "session",
    "Expiration": "2030-01-02T03:04:05Z",
}


@contextmanager
def endpoint(answer: bytes, asked: list[str | None]) -> Iterator[ContainerCredentials]:
    """The endpoint beside a restored function; `asked` gets the token of each request."""

    class Endpoint(Handler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("authorization"))
            self.reply(200, answer, {"content-type": "application/json"})

    with serving(Endpoint) as url:
        yield ContainerCredentials(f"{url}/2021-04-23/credentials", TOKEN)


def test_credentials_are_had_for_the_token() -> None:
    asked: list[str | None] = []
    with endpoint(json.dumps(CREDENTIALS).encode(), asked) as where:
        found = ContainerCredentialProvider(where)()
    assert asked == [TOKEN]
    assert found == {
        "access_key_id": "key",
        "secret_access_key": "secret",
        "token": "session",
        "expires_at": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    }


@pytest.mark.parametrize("answer", [b"", b"no", b"[]", b"{}", json.dumps({**CREDENTIALS, "Expiration": "x"}).encode()])
def test_another_answer_is_a_clear_error(answer: bytes) -> None:
    with endpoint(answer, []) as where, pytest.raises(CredentialsError, match="expected credentials, got"):
        ContainerCredentialProvider(where)()


def test_an_endpoint_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(CredentialsError, match="expected credentials, got ConnectionRefusedError"):
        ContainerCredentialProvider(ContainerCredentials("http://127.0.0.1:9/credentials", TOKEN))()
