import platform
import re

import onnx

from onnxlet_publishing.provenance import frameworks, git_revision


def test_the_versions_are_those_of_this_environment() -> None:
    versions = frameworks("torch")
    assert (versions["python"], versions["backend"]) == (platform.python_version(), "torch")
    assert versions["onnx"] == onnx.__version__


def test_a_checkout_has_a_commit() -> None:
    revision = git_revision()
    assert revision is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)
