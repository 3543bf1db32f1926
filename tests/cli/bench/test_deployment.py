import json
import os
import zipfile
from pathlib import Path

import pytest

from onnxlet_cli.assets import functions_folder
from onnxlet_cli.bench.deployment import PYTHON, SITE_PACKAGES, open_deployment
from onnxlet_cli.bench.fresh_process import Command, run_function
from onnxlet_publishing.errors import UsageError


def test_without_a_package_the_source_tree_is_measured_with_its_bytecode(tmp_path: Path) -> None:
    deployment = open_deployment(None, tmp_path)
    assert (deployment.folder, deployment.python_path) == (functions_folder(), SITE_PACKAGES)
    assert deployment.takes_texts, "this venv has tokenizers"
    assert list((functions_folder() / "onnxlet/web/__pycache__").glob("app.*.pyc"))


def test_a_package_finds_lambdas_client_and_nothing_else_of_this_venv(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        archive.writestr("main.py", "def aws_http(event, _context): return [event, __file__]")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    deployment = open_deployment(tmp_path / "package.zip", scratch)
    assert (deployment.folder / "main.py").exists()
    found = {entry.name.partition(".")[0] for entry in deployment.python_path.iterdir()}
    assert "awslambdaric" in found
    assert "numpy" not in found
    assert not deployment.takes_texts
    (deployment.folder / "tokenizers").mkdir()
    assert deployment.takes_texts
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(deployment.python_path)}
    command = Command((*PYTHON, "-m", "awslambdaric", "main.aws_http"), deployment.folder, environment)
    assert json.loads(run_function(command, b'"hello"').body) == ["hello", str(deployment.folder / "main.py")]


def test_a_folder_without_the_entry_points_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with pytest.raises(UsageError, match=r"expected a package of `onnxlet package`"):
        open_deployment(tmp_path, tmp_path / "scratch")
