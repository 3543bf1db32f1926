"""KServe's own client against both clouds' real runtimes; its pins fight ours, so it lives in a venv of its own."""

import subprocess
from pathlib import Path

import pytest

from onnxlet.contract.tensors import DATATYPES
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs

PYTHON = Path(__file__).parents[2] / ".venv-kserve/bin/python"

pytestmark = [
    pytest.mark.kserve,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs `make kserve`, which makes .venv-kserve"),
]


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_kserves_client_talks_to_it_unchanged(cloud: str, tmp_path: Path) -> None:
    url = (tmp_path / "registry").as_uri()
    candidates = [
        graphs.candidate(f"identity-{row.name.lower()}", graphs.identity(row.onnx)) for row in DATATYPES.values()
    ]
    candidates += [graphs.candidate("sums", graphs.sums()), graphs.candidate("two", graphs.two_inputs())]
    publish_all(Registry(open_store(url, create=True)), [*candidates, graphs.digits_candidate()])
    with serve(cloud, LocalSettings(url, "sums", 0), log=tmp_path / "log") as served_at:
        client = Path(__file__).with_name("client.py")
        done = subprocess.run([PYTHON, client, served_at], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
