"""What all tests share: an S3 (moto's server), a Cloud Storage, and a registry with a published model."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

# Real credentials of the machine must never be used by a test, and moto takes any.
for _name in [name for name in os.environ if name.startswith(("AWS_", "ONNXLET_", "GOOGLE_", "HF_"))]:
    del os.environ[_name]
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_REGION="us-east-1",
    AWS_CONFIG_FILE="/dev/null",
    AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    AWS_EC2_METADATA_DISABLED="true",
    USE_TF="0",  # transformers must not import TensorFlow, whose Keras it does not support
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what runs in its background. Children inherit it, and would not end by Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import Phase, settings
from moto.server import ThreadedMotoServer

from onnxlet.storage.connection import StorageSettings
from tests.helpers import lambda_runtimes
from tests.helpers.fake_gcs import FakeGcs

BUCKET = "onnxlet-test"

# The same examples each time, no deadlines, and no search for a smaller example: that one fails is all it asks.
settings.register_profile("mutants", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """moto's S3 over real HTTP, with the bucket `BUCKET`."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://localhost:{server.get_host_and_port()[1]}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield endpoint
    server.stop()


@pytest.fixture(scope="session", params=lambda_runtimes.RUNTIMES)
def start_function(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> lambda_runtimes.Start:
    """What starts a function in each of Lambda's runtimes; behind AWS's emulator only in `make arm64`."""
    return lambda_runtimes.start(request.param, tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    """A Cloud Storage over real HTTP, with the bucket `BUCKET`."""
    with FakeGcs(BUCKET).serving() as url:
        yield url


@pytest.fixture(scope="session")
def storage(s3_endpoint: str, gcs_endpoint: str) -> StorageSettings:
    return StorageSettings(s3_endpoint, gcs_endpoint)


def outside(kind: str) -> pytest.ParameterSet:
    """A parameter that is left out where nothing but the test's own process shall run (`-m "not outside"`)."""
    return pytest.param(kind, marks=pytest.mark.outside)


@pytest.fixture(params=["memory", "file", outside("s3"), outside("gs")])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty root URL in each kind of object storage."""
    return {
        "memory": f"memory://{uuid.uuid4()}",
        "file": (tmp_path / "store").as_uri(),
        "s3": f"s3://{BUCKET}/{uuid.uuid4()}",
        "gs": f"gs://{BUCKET}/{uuid.uuid4()}",
    }[request.param]


@pytest.fixture(params=[outside("file"), outside("s3")])
def shared_root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty root URL that several processes reach."""
    return (tmp_path / "store").as_uri() if request.param == "file" else f"s3://{BUCKET}/{uuid.uuid4()}"
