"""The command `onnxlet`: errors on one line."""

import json
import subprocess
import sys
from pathlib import Path

from onnxlet_cli.main import COMMANDS, to_error
from tests.conftest import BUCKET
from tests.helpers.command import Command, fails, write_classifier


def test_bad_files_are_refused_in_one_line(onnxlet: Command, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("I am no model")
    (tmp_path / "empty").mkdir()
    whole = write_classifier(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    fails(onnxlet("publish", "text.onnx"), "text.onnx", "not an ONNX file")
    fails(onnxlet("publish", "half.onnx"), "half.onnx", "truncated")
    fails(onnxlet("publish", "missing.onnx"), "missing.onnx", "no such file")
    fails(onnxlet("publish", "empty"), "got none")
    fails(onnxlet("publish", "whole.onnx", "--name", "../up"), "'../up'", "expected 1 to 63")
    fails(onnxlet("publish", "whole.onnx", "--labels", "nope.txt"), "nope.txt")
    assert json.loads(onnxlet("models", "--json").stdout) == []


def test_bad_registries_and_names_are_refused_in_one_line(onnxlet: Command, tmp_path: Path) -> None:
    write_classifier(tmp_path / "whole.onnx")
    fails(onnxlet("models", "--registry", "ftp://host/root"), "ftp://host/root", "s3://")
    fails(onnxlet("models", "--registry", "file:///no/such/folder"), "no such folder")
    fails(onnxlet("models", "--registry", "s3://bucket"), "s3://bucket", "no AWS credentials")
    fails(onnxlet("predict", "nope", "whole.onnx"), 'model "nope"', "not in the registry")
    fails(onnxlet("promote", "nope", "1"), 'model "nope"', "not in the registry")
    fails(onnxlet("models", "nope"), 'model "nope"')
    fails(onnxlet("train", "nope"), "recipe 'nope'", "digits")


def test_a_bucket_is_a_registry_too(onnxlet: Command, tmp_path: Path, s3_endpoint: str) -> None:
    write_classifier(tmp_path / "shapes.onnx")
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": s3_endpoint}
    more = {**credentials, "ONNXLET_REGISTRY": f"s3://{BUCKET}/{tmp_path.name}"}
    assert onnxlet("publish", "shapes.onnx", **more).stdout.endswith("shapes version 1 is live\n")
    assert json.loads(onnxlet("models", "--json", **more).stdout)[0]["live"] == 1
    assert not (tmp_path / ".onnxlet").exists()


def test_a_missing_bucket_is_named(onnxlet: Command, tmp_path: Path, s3_endpoint: str) -> None:
    write_classifier(tmp_path / "whole.onnx")
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": s3_endpoint}
    registry = ("--registry", "s3://no-such-bucket/models")
    fails(onnxlet("publish", "whole.onnx", *registry, **credentials), "no-such-bucket", "no such bucket")
    fails(onnxlet("models", *registry, **credentials), "no-such-bucket", "no such bucket")


def test_each_subcommand_is_imported_only_when_it_runs() -> None:
    program = "import sys, onnxlet_cli.main; print(sorted(name for name in sys.modules if 'cli.commands.' in name))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_help_describes_every_subcommand(onnxlet: Command) -> None:
    words = onnxlet("--help").stdout.split()
    assert set(COMMANDS) <= set(words)


def test_a_missing_library_of_training_is_named_with_the_extra_that_brings_it() -> None:
    error = to_error(ModuleNotFoundError("No module named 'keras'", name="keras"))
    assert str(error) == "keras is not installed; training needs it: pip install 'onnxlet[training]'"
