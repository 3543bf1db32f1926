"""A checkout with stand-ins for Terraform and gcloud, and a Cloud Storage."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cloud_tools import GCLOUD, TERRAFORM, put_tool
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.gcp_deployment import GCP
from tests.helpers.http_recorder import Recorder, recording


@pytest.fixture
def http() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """A Cloud Storage, and what it asks for."""
    fake = FakeGcs()
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token")
    with fake.serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        yield fake


@pytest.fixture
def root(tmp_path: Path, http: Recorder, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001
    """A checkout, with stand-ins for Terraform and gcloud, and a Cloud Storage."""
    put_tool(tmp_path / "bin", "terraform", TERRAFORM, monkeypatch)
    put_tool(tmp_path / "bin", "gcloud", GCLOUD)
    (tmp_path / "infra/gcp").mkdir(parents=True)
    shutil.copy(GCP / "variables.tf", tmp_path / "infra/gcp")
    (tmp_path / "registry").mkdir()
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/onnxlet-gcp.zip").touch()
    monkeypatch.setenv("TERRAFORM_CALLS", str(tmp_path / "calls.txt"))
    monkeypatch.setenv("HTTP_URL", http.url)
    monkeypatch.setenv("REGISTRY_URL", (tmp_path / "registry").as_uri())
    return tmp_path
