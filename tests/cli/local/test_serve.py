import socket
from pathlib import Path

import pytest

from onnxlet_cli.local.http import HOST
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.errors import MachineError, UsageError


def refused(cloud: str, settings: LocalSettings, words: str) -> None:
    with pytest.raises((MachineError, UsageError), match=words), serve(cloud, settings):
        pytest.fail("it was served")


def test_an_unknown_cloud_is_refused() -> None:
    refused("azure", LocalSettings("memory://x", None, 0), "expected one of aws, gcp")


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_port_that_is_taken_is_refused(cloud: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        refused(cloud, LocalSettings("memory://x", None, port), f"port {port}: cannot be used")


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    refused("aws", LocalSettings("memory://x", None, 0, inbox), "expected --model NAME")
    refused("aws", LocalSettings("s3://bucket", "digits", 0, inbox), "expected a registry that is not s3://")
    refused("gcp", LocalSettings("gs://bucket", "digits", 0, inbox), "expected a registry that is not gs://")
    refused("gcp", LocalSettings("memory://x", "digits", 0, inbox, inbox / "out"), "outside the inbox")
