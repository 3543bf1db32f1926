import os
import platform
from importlib.metadata import version

from onnxlet_cli.bench import machine


def test_the_machine_has_its_cores_its_memory_and_the_versions_of_what_is_measured() -> None:
    described = machine.describe()
    assert described["cores"] == len(os.sched_getaffinity(0))
    assert described["memory_gib"] > 0
    assert described["python"] == platform.python_version()
    assert described["packages"]["onnxruntime"] == version("onnxruntime")
