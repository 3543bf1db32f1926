"""A checkout with moto as AWS, a stand-in for SAM's command, and a server in place of the function."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet_cli.assets import template_path
from tests.helpers.cloud_tools import SAM, put_tool
from tests.helpers.http_recorder import Recorder, recording


@pytest.fixture
def http() -> Iterator[Recorder]:
    with recording() as found:
        yield found


LIMITS = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}


@pytest.fixture
def account() -> dict[str, int]:
    """The account's limits, as Lambda tells them; moto's Lambda does not know of any."""
    return dict(LIMITS)


@pytest.fixture
def limits(account: dict[str, int]) -> Iterator[str]:
    """Where Lambda is asked for them."""
    with recording({"/2016-08-19/account-settings": {"AccountLimit": account}}) as found:
        yield found.url


@pytest.fixture
def root(tmp_path: Path, s3_endpoint: str, http: Recorder, limits: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, with moto as AWS and a stand-in for SAM's command."""
    for service in ("CLOUDFORMATION", "S3", "STS", "API_GATEWAY", "SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", s3_endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", limits)
    monkeypatch.setenv("HTTP_URL", f"{http.url}/")
    put_tool(tmp_path / "bin", "sam", SAM, monkeypatch)
    shutil.copy(template_path(), tmp_path)
    return tmp_path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("main.py", "1")
        archive.writestr("onnxlet/app.py", "2")
    return path
