import json
import stat
from pathlib import Path

import pytest

from onnxlet_cli.deploy.aws import sam
from onnxlet_cli.deploy.aws.sam import Sam, unpack
from onnxlet_publishing.errors import MachineError
from tests.helpers.cloud_tools import put_tool

ECHO = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "region": os.environ["AWS_REGION"], "telemetry": os.environ["SAM_CLI_TELEMETRY"]}))
"""  # noqa: E501


TABLE = """
print("CREATE_IN_PROGRESS   AWS::S3::Bucket   Models   -")
print("CREATE_COMPLETE      AWS::S3::Bucket   Models")
print("UPDATE_FAILED        AWS::SQS::Queue   Queue    Resource handler returned message")
print("CREATE_COMPLETE is not a row")
raise SystemExit(3)
"""


def test_the_template_is_deployed_as_one_stack_with_its_parameters(tmp_path: Path) -> None:
    command = Sam(str(put_tool(tmp_path / "bin", "sam", ECHO)), tmp_path, "shop", "eu-central-1", {})
    done = command.deploy({"Prefetch": "cpu=ab:1,cd:2;*=ef:3", "ModelName": ""}, {}, print, is_executed=True)
    told = json.loads(done.text)
    arguments = told["arguments"]
    assert (told["region"], told["telemetry"]) == ("eu-central-1", "0")
    assert arguments[0] == "deploy"
    for name, value in {"--stack-name": "shop", "--region": "eu-central-1", "--s3-prefix": "shop"}.items():
        assert arguments[arguments.index(name) + 1] == value
    assert arguments[arguments.index("--config-env") + 1] == "onnxlet-deploy", "a profile of samconfig.toml is not read"
    assert "--resolve-s3" in arguments, "template.yaml is larger than CloudFormation takes without a bucket"
    assert arguments[-2:] == ['Prefetch="cpu=ab:1,cd:2;*=ef:3"', 'ModelName=""']
    assert "--no-execute-changeset" not in arguments


def test_tags_are_given_as_sam_splits_them(tmp_path: Path) -> None:
    command = Sam(str(put_tool(tmp_path / "bin", "sam", ECHO)), tmp_path, "shop", "eu-central-1", {})
    tags = {"team name": "a b", "query": "a=b", "empty": ""}
    arguments = json.loads(command.deploy({}, tags, print, is_executed=True).text)["arguments"]
    place = arguments.index("--tags")
    assert arguments[place + 1 : place + 4] == ["team name=a b", '"query"="a=b"', "empty="]
    assert arguments[place + 4] == "--parameter-overrides"


def test_a_plan_executes_nothing(tmp_path: Path) -> None:
    command = Sam(str(put_tool(tmp_path / "bin", "sam", ECHO)), tmp_path, "shop", "eu-central-1", {})
    assert "--no-execute-changeset" in json.loads(command.deploy({}, {}, print, is_executed=False).text)["arguments"]


def test_each_resource_that_has_changed_is_reported_as_it_happens(tmp_path: Path) -> None:
    lines: list[str] = []
    command = Sam(str(put_tool(tmp_path / "bin", "sam", TABLE)), tmp_path, "shop", "eu", {})
    done = command.deploy({}, {}, lines.append, is_executed=True)
    assert [line.split() for line in lines] == [["CREATE_COMPLETE", "Models"], ["UPDATE_FAILED", "Queue"]]
    assert done.code == 3


def test_a_value_with_quotes_stays_one_value() -> None:
    assert sam.to_override("Name", 'a "b" \\c') == 'Name="a \\"b\\" \\\\c"'


def test_the_path_comes_before_the_checkouts_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = put_tool(tmp_path / ".venv-deploy/bin", "sam", "")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert sam.find_sam(tmp_path) == str(own)
    path = put_tool(tmp_path / "bin", "sam", "", monkeypatch)
    assert sam.find_sam(tmp_path) == str(path)


def test_without_sam_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match=r"sam: .*`pipx install aws-sam-cli`.* `make .venv-deploy`"):
        sam.find_sam(tmp_path)


def test_elsewhere_than_in_a_checkout_there_is_no_template(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="run the command from a checkout"):
        sam.require_template(tmp_path)


def test_an_unpacked_package_can_be_read_by_lambdas_user_and_holds_nothing_of_an_earlier_one(
    package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dist/onnxlet-aws"
    (folder / "old").mkdir(parents=True)
    unpack(package, folder)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")) == ["main.py", "onnxlet/app.py"]
    assert not (folder / "old").exists()
    assert stat.S_IMODE((folder / "main.py").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "onnxlet").stat().st_mode) == 0o755
