"""The benchmark's S3, asked by the clients that the benchmark has: boto3 and obstore."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import obstore
import pytest
from botocore.exceptions import ClientError

from onnxlet.errors import ConflictError, ObjectNotFoundError
from onnxlet.storage import Store
from onnxlet_cli.bench.deployment import source_tree
from onnxlet_cli.bench.stage import Stage
from onnxlet_cli.bench.storage import BUCKET, storage
from onnxlet_cli.bench.throttle import Throttle

LARGE = os.urandom(20_000_000)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with storage(Throttle(first_byte_s=0.005)) as url:
        yield url


@pytest.fixture(scope="module")
def client(endpoint: str) -> Any:
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    s3.put_object(Bucket=BUCKET, Key="large é+%.bin", Body=LARGE)
    return s3


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> Store:
    return Stage(endpoint, source_tree(), tmp_path).open(f"s3://{BUCKET}")


def test_boto3_downloads_in_parts(client: Any, tmp_path: Path) -> None:
    client.download_file(BUCKET, "large é+%.bin", str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == LARGE


def test_boto3_uploads_in_parts(client: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    client.upload_file(str(tmp_path / "file"), BUCKET, "uploaded.bin")
    assert client.get_object(Bucket=BUCKET, Key="uploaded.bin")["Body"].read() == LARGE


@pytest.mark.usefixtures("client")
def test_obstore_reads_ranges_at_the_same_time(bucket: Store) -> None:
    starts = range(0, len(LARGE), 3_000_000)

    def part(start: int) -> bytes:
        end = min(start + 3_000_000, len(LARGE))
        return bytes(obstore.get_range(bucket.backend, "large é+%.bin", start=start, end=end))

    with ThreadPoolExecutor(8) as pool:
        assert b"".join(pool.map(part, starts)) == LARGE


def test_an_object_is_never_faster_than_the_throttle(client: Any) -> None:
    started_s = time.perf_counter()
    assert client.get_object(Bucket=BUCKET, Key="large é+%.bin")["Body"].read() == LARGE
    assert time.perf_counter() - started_s >= len(LARGE) / 85e6


def test_what_is_written_is_read_and_what_is_deleted_is_gone(bucket: Store, client: Any) -> None:
    bucket.put_if_absent("small", b"first")
    stored = bucket.read("small")
    assert stored.data == b"first"
    assert bucket.read_if_changed("small", stored.revision) is None
    bucket.replace("small", b"second", stored.revision)
    assert bucket.read("small").data == b"second"
    with pytest.raises(ConflictError):
        bucket.put_if_absent("small", b"third")
    assert "small" in bucket.children("")
    client.delete_object(Bucket=BUCKET, Key="small")
    with pytest.raises(ObjectNotFoundError):
        bucket.read("small")


def test_a_head_has_the_size_and_the_tag(client: Any) -> None:
    head = client.head_object(Bucket=BUCKET, Key="large é+%.bin")
    assert head["ContentLength"] == len(LARGE)
    assert head["ETag"] == client.get_object(Bucket=BUCKET, Key="large é+%.bin", Range="bytes=0-0")["ETag"]


def test_a_missing_object_is_s3s_own_error(client: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=BUCKET, Key="missing")


def test_without_moto_it_says_what_to_install() -> None:
    source = (
        "import sys; sys.modules['moto.server'] = None; from onnxlet_cli.bench.storage import main; main('[null, 0]')"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "the benchmark's S3 needs moto: pip install 'onnxlet[dev]'\n"


def test_ctrl_c_prints_no_traceback_and_leaves_no_process(tmp_path: Path) -> None:
    """A terminal sends SIGINT to all processes of a group."""
    code = (
        "import threading\n"
        "from onnxlet_cli.bench.storage import storage\n"
        "from onnxlet_cli.bench.throttle import Throttle\n"
        "try:\n"
        "    with storage(Throttle()) as url:\n"
        "        print(url, flush=True)\n"
        "        threading.Event().wait()\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
    )
    errors = tmp_path / "errors"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=file, text=True, start_new_session=True
        )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 0
    assert errors.read_text() == ""
    end_s = time.monotonic() + 60  # the child sees only that its input is closed
    while _is_running(children[0]) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not _is_running(children[0])


def _is_running(pid: str) -> bool:
    """Return whether a process is there, and not only its exit status, which whoever adopted it has not read yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
