"""The package for Lambda's arm64, run by an emulated arm64 Python: it answers as the package for x86_64 does."""

import json
import platform
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from onnxlet_cli.bench import payloads
from onnxlet_cli.bench.models import load_model
from onnxlet_cli.bench.stage import PHOTO_TO_LABEL
from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import wheels
from onnxlet_cli.package.build import Options, Package, build
from onnxlet_cli.package.interpreter import CPU_FILES, EMULATED, Interpreter, emulated
from onnxlet_cli.package.proof import ask
from onnxlet_cli.package.target import Target
from onnxlet_cli.package.wheels import Pin
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import read_onnx
from onnxlet_publishing.publish import publish
from tests.cli.package.installed import copy_installed

pytestmark = [
    pytest.mark.arm64,
    pytest.mark.skipif(
        not all(emulated(version, has_cpu_files=True).python.exists() for version in EMULATED),
        reason="needs `make arm64`",
    ),
]

MODELS = ("tiny", "cnn", "mobile")
PHOTOGRAPHED = "mobile"

MAX_DIFFERENCE = 1e-5
"""Between the processors: each adds in another order."""

CRASHES = Pin("onnxruntime", "1.25.1", ("fa7d4daa78a18b8f3b410e31e82dab8580363c85cac644179a853f2748618e89",))
"""An older ONNX Runtime, with its wheel for Python 3.11 on arm64."""


@dataclass(frozen=True)
class Questions:
    """A registry with models, and what a function that reads it is asked."""

    registry: str
    events: Sequence[object]

    def ask(self, interpreter: Interpreter, package: Path, folder: Path) -> list[npt.NDArray[Any]]:
        """Unpack a package and return the numbers that it answers to each event."""
        task = folder / "task"
        with zipfile.ZipFile(package) as archive:
            archive.extractall(task)
        environment = {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:0",
            "ONNXLET_REGISTRY": self.registry,
        }
        answered = ask(interpreter, [task], self.events, environment)
        assert answered["engine"] == "c"
        assert answered["foreign"] == []
        return [read_numbers(result) for result in answered["results"]]


def read_numbers(result: object) -> npt.NDArray[Any]:
    """Return the one output of a V2 answer, or each label's probability."""
    _headers, body = payloads.read_result(result)
    document = json.loads(body)
    if "outputs" in document:
        return payloads.read_v2_json(body)
    (prediction,) = document["predictions"]
    probabilities = {each["label"]: each["probability"] for each in prediction["top"]}
    return np.array([probabilities[label] for label in payloads.LABELS])


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Questions:
    """Three models, each asked for its tensors, and one of them a photo."""
    folder = tmp_path_factory.mktemp("questions")
    url = (folder / "registry").as_uri()
    registry, events = open_registry(url, create=True), []
    for name in MODELS:
        model = load_model(name, folder / "models")
        declared = PHOTO_TO_LABEL if name == PHOTOGRAPHED else {}
        publish(registry, Candidate(name, read_onnx(model.path), "test", **declared))
        body, headers = payloads.v2_json(model.arrays())
        events.append(payloads.function_url_event(payloads.v2_path(name), body, headers))
    photo = payloads.function_url_event(f"/predict/{PHOTOGRAPHED}", payloads.photo(), {"content-type": "image/jpeg"})
    return Questions(url, [*events, photo | {"rawQueryString": f"top_k={len(payloads.LABELS)}"}])


@pytest.fixture(scope="module")
def expected(questions: Questions, tmp_path_factory: pytest.TempPathFactory) -> list[npt.NDArray[Any]]:
    """What this machine's own package answers."""
    folder = tmp_path_factory.mktemp("x86_64")
    target = Target("aws", "x86_64", "{}.{}".format(*sys.version_info))
    package = build(Options(target, folder), lambda _: None, copy_installed)
    return questions.ask(Interpreter(Path(sys.executable)), package.path, folder)


@pytest.fixture(scope="module", params=EMULATED)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Package]:
    """The package for arm64 and each Python that can be emulated, made as for a deployment."""
    options = Options(Target("aws", "arm64", request.param), tmp_path_factory.mktemp("arm64"))
    return request.param, build(options, lambda _: None)


def test_the_package_is_proven_as_on_lambda(package: tuple[str, Package]) -> None:
    _version, built = package
    assert built.unproven is None
    assert built.proof is not None
    assert built.proof.requests == 5
    assert built.proof.emulation == f"under emulation, without {CPU_FILES} as on Lambda"


@pytest.mark.parametrize("has_cpu_files", [True, False], ids=["with /sys", "without /sys"])
def test_it_answers_three_models_and_a_photo_as_x86_64_does(
    package: tuple[str, Package],
    questions: Questions,
    expected: list[npt.NDArray[Any]],
    tmp_path: Path,
    has_cpu_files: bool,
) -> None:
    version, built = package
    interpreter = emulated(version, has_cpu_files=has_cpu_files)
    assert describe(interpreter) == {"machine": "aarch64", "has_cpu_files": has_cpu_files, "cpu": "0x41"}
    answers = questions.ask(interpreter, built.path, tmp_path)
    assert [answer.size for answer in answers] == [10, 10, 1000, 1000]
    for answer, other in zip(answers, expected, strict=True):
        assert other.std() > 0
        assert float(np.abs(answer - other).max()) <= MAX_DIFFERENCE


def describe(interpreter: Interpreter) -> dict[str, object]:
    """Return what a process of this interpreter sees of its machine."""
    source = f"""
import json, os, platform
cpu = next(line.split()[-1] for line in open("/proc/cpuinfo") if line.startswith("CPU implementer"))
print(json.dumps({{"machine": platform.machine(), "has_cpu_files": os.path.exists({CPU_FILES!r}), "cpu": cpu}}))
"""
    command = [*interpreter.command, "-I", "-S", "-c", source]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_package_that_crashes_on_lambda_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime 1.25 aborts where there is no /sys/devices/system/cpu (onnxruntime #10038)."""

    def fetch_older(pins: Sequence[Pin], target: Target, folder: Path) -> None:
        wheels.fetch([CRASHES if pin.name == CRASHES.name else pin for pin in pins], target, folder)

    options = Options(Target("aws", "arm64", "3.11"), tmp_path, engine="python")
    with pytest.raises(PackageError, match=r"the package does not run on its own: .*Aborted"):
        build(options, lambda _: None, fetch_older)
    assert list(tmp_path.iterdir()) == []


def test_this_machine_still_has_its_own_cpus() -> None:
    """What is hidden and replaced is so for the emulated process alone."""
    assert platform.machine() == "x86_64"
    assert Path(CPU_FILES).exists()
    assert "CPU implementer" not in Path("/proc/cpuinfo").read_text()
