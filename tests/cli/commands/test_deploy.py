"""`onnxlet deploy` and `destroy`, as a user runs them: each mistake is one clear line, and nothing is deployed."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from onnxlet_cli.assets import work_folder
from onnxlet_cli.commands import deploy
from tests.helpers import forked
from tests.helpers.cloud_tools import SAM, put_tool

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """All that is on the PATH."""
    put_tool(tmp_path / "bin", "sam", SAM)
    return tmp_path / "bin"


@pytest.fixture
def onnxlet(tmp_path: Path, tools: Path, s3_endpoint: str) -> Command:
    """Run the command in an empty folder, with moto as AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    more = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}
    more |= {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_ENDPOINT_URL": s3_endpoint}
    more["PYTHONPATH"] = str(work_folder())
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    environment = {**kept, **more, **keys, "COLUMNS": "200", "PATH": str(tools), "HOME": str(tmp_path)}

    def run(*arguments: str, without: tuple[str, ...] = (), **others: str) -> "subprocess.CompletedProcess[str]":
        chosen = {name: value for name, value in {**environment, **others}.items() if name not in without}
        return forked.run(list(arguments), tmp_path, chosen, timeout=120)

    return run


def fails(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """It failed, and its last line says why; before that it only said what it has looked at."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *before, last = done.stderr.splitlines()
    assert last.startswith("onnxlet: ")
    assert all(line.startswith(("check ", "model ", "keeps ")) for line in before)
    for word in words:
        assert word in last


def test_without_credentials(onnxlet: Command) -> None:
    done = onnxlet("deploy", without=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    fails(done, "no AWS credentials: run `aws configure`")


def test_with_a_profile_that_does_not_exist(onnxlet: Command) -> None:
    fails(onnxlet("deploy", AWS_PROFILE="work"), "work", "run `aws configure`")


def test_without_a_region(onnxlet: Command) -> None:
    fails(onnxlet("deploy", without=("AWS_REGION",)), "no AWS region: give --region, or set AWS_REGION")


def test_without_sam(onnxlet: Command, tools: Path) -> None:
    if (work_folder() / ".venv-deploy/bin/sam").exists():
        pytest.skip("this checkout has its own")
    (tools / "sam").unlink()
    fails(onnxlet("deploy"), "sam: AWS SAM's command is not on this machine")


def test_without_a_model(onnxlet: Command) -> None:
    fails(onnxlet("deploy"), "no model to deploy", "`make demo` trains one, or give --model FILE.onnx")


def test_with_a_model_that_is_not_there(onnxlet: Command) -> None:
    fails(onnxlet("deploy", "--model", "shapes"), "--model shapes: no live version of it", "has no models")
    fails(onnxlet("deploy", "--model", "shapes.onnx"), "shapes.onnx: no such file or folder")


def test_with_an_unknown_cloud(onnxlet: Command) -> None:
    for name in ("deploy", "destroy", "package", "serve"):
        done = onnxlet(name, "--cloud", "azure")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--cloud" in done.stderr
        assert "'azure' is not one of 'aws', 'gcp'" in done.stderr


def test_without_terraform(onnxlet: Command) -> None:
    done = onnxlet("deploy", "--cloud", "gcp", "--project", "p", "--region", "europe-west1")
    fails(done, "terraform: not on this machine")


def test_without_a_project(onnxlet: Command) -> None:
    fails(onnxlet("deploy", "--cloud", "gcp", "--region", "europe-west1"), "no GCP project: give --project ID")


def test_with_a_setting_of_another_form(onnxlet: Command) -> None:
    fails(onnxlet("deploy", "--set", "RefreshSeconds"), "--set RefreshSeconds: expected NAME=VALUE")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RefreshSeconds=5\nLogDays\n", "stage.txt:2: LogDays: expected NAME=VALUE"),
        ("\n# a comment\n1=2", "stage.txt:3: 1=2: expected NAME=VALUE"),
        ("LogDays=7\nLogDays=14", "stage.txt:2: LogDays: expected each name once, got it twice"),
    ],
)
def test_with_a_stage_file_of_another_form(onnxlet: Command, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "stage.txt").write_text(text)
    fails(onnxlet("deploy", "--stage-file", "stage.txt"), words)


def test_without_its_stage_file(onnxlet: Command) -> None:
    fails(onnxlet("deploy", "--stage-file", "nowhere.txt"), "nowhere.txt: No such file or directory")


def test_a_stage_s_file_says_what_the_command_line_does_not(tmp_path: Path) -> None:
    path = tmp_path / "stage.txt"
    path.write_text("# staging\n\nRefreshSeconds=5\n  LogDays=7  \nPublicKeys=a=,b=\nAlarmTopic=\n")
    found = deploy._parse_settings(["LogDays=14"], path)
    assert found == {"RefreshSeconds": "5", "LogDays": "14", "PublicKeys": "a=,b=", "AlarmTopic": ""}
    assert deploy._parse_settings(["LogDays=14"], None) == {"LogDays": "14"}


def test_what_is_not_there_cannot_be_removed(onnxlet: Command) -> None:
    fails(onnxlet("destroy", "--stack", "nowhere", "--yes"), 'no stack "nowhere" in us-east-1')


def test_nothing_is_removed_where_nobody_can_agree(onnxlet: Command, s3_endpoint: str) -> None:
    client = boto3.client("cloudformation", endpoint_url=s3_endpoint, region_name="us-east-1")
    bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
    client.create_stack(StackName="agreed", TemplateBody=json.dumps({"Resources": {"Models": bucket}}))
    fails(onnxlet("destroy", "--stack", "agreed"), "destroy asks before it removes anything: give --yes")
    assert client.describe_stacks(StackName="agreed")["Stacks"]
    done = onnxlet("destroy", "--stack", "agreed", "--yes")
    assert done.returncode == 0
    assert "to remove that as well, for ever:" in done.stdout
    assert "Bucket('agreed-models-" in done.stdout


def test_the_help_names_both_clouds_and_what_it_costs(onnxlet: Command) -> None:
    told = onnxlet("deploy", "--help").stdout
    assert "aws or gcp" in told
    assert "the changes and the costs" in told
