"""Stacks that failed, of which moto has none: CloudFormation's answers for them, over HTTP."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from onnxlet_cli.assets import template_path
from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.cloud import Options, Release
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError
from onnxlet_cli.local.http import Handler, serving
from tests.helpers.cloud_tools import put_tool

ID = "arn:aws:cloudformation:eu-central-1:000000000000:stack/shop/1"

SAM = """
print("CREATE_FAILED   AWS::S3::Bucket   Models   photos already exists")
print("Error: Failed to create/update the stack: shop, Waiter StackCreateComplete failed")
raise SystemExit(1)
"""


@dataclass
class Stacks:
    """One stack, and what was asked of it."""

    status: str | None
    after_sam: str | None = None
    """What it is when it has been looked at for the first time."""
    asked: list[str] = field(default_factory=list)

    def answer(self, action: str) -> tuple[int, str]:
        """CloudFormation's answer to an action."""
        self.asked.append(action)
        if action == "DeleteStack":
            self.status = None
        status, self.status = self.status, self.status or self.after_sam
        if action == "DescribeStacks" and status is None:
            error = "<Code>ValidationError</Code><Message>Stack with id shop does not exist</Message>"
            return 400, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        return (
            200,
            f"<{action}Response><{action}Result>{self._result(action, status)}</{action}Result></{action}Response>",
        )

    def _result(self, action: str, status: str | None) -> str:
        if action == "DescribeStacks":
            return (
                f"<Stacks><member><StackName>shop</StackName><StackId>{ID}</StackId><StackStatus>{status}</StackStatus>"
                "<CreationTime>2026-11-21T00:00:00Z</CreationTime></member></Stacks>"
            )
        if action == "DescribeStackEvents":
            rows = [
                ("shop", "AWS::CloudFormation::Stack", "ROLLBACK_IN_PROGRESS", "The following failed: [Models]"),
                ("Queue", "AWS::SQS::Queue", "CREATE_FAILED", "Resource creation cancelled"),
                ("Models", "AWS::S3::Bucket", "CREATE_FAILED", "photos already exists"),
            ]
            members = "".join(
                f"<member><StackId>{ID}</StackId><EventId>1</EventId><StackName>shop</StackName>"
                f"<LogicalResourceId>{name}</LogicalResourceId><ResourceType>{kind}</ResourceType>"
                f"<Timestamp>2026-11-21T00:00:00Z</Timestamp><ResourceStatus>{status}</ResourceStatus>"
                f"<ResourceStatusReason>{reason}</ResourceStatusReason></member>"
                for name, kind, status, reason in rows
            )
            return f"<StackEvents>{members}</StackEvents>"
        return ""


@contextmanager
def serve(stacks: Stacks) -> Iterator[str]:
    class CloudFormation(Handler):
        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            status, body = stacks.answer(query["Action"][0])
            self.reply(status, body.encode(), {"content-type": "text/xml"})

    with serving(CloudFormation) as url:
        yield url


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("main.py", "1")
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_tool(tmp_path / "bin", "sam", SAM, monkeypatch)
    shutil.copy(template_path(), tmp_path)
    return tmp_path


@contextmanager
def deploying(root: Path, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with serve(stacks) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", url)
        yield Aws(Options("shop", "eu-central-1"), root)


def test_a_bucket_name_that_is_taken_is_one_clear_line(
    root: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        deploying(root, Stacks(None, "ROLLBACK_COMPLETE"), monkeypatch) as cloud,
        pytest.raises(DeploymentError) as error,
    ):
        cloud.apply(Release(package, "digits", None), silent)
    assert str(error.value) == (
        'stack "shop" was not deployed: Models: photos already exists; this bucket name is taken, and all of AWS '
        "shares them; put that right, then run the same command again"
    )


def test_what_is_left_of_a_first_deployment_that_failed_is_cleared_before_the_next(
    root: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks = Stacks("ROLLBACK_COMPLETE")
    with deploying(root, stacks, monkeypatch) as cloud:
        assert cloud.find() is None
        with pytest.raises(DeploymentError):
            cloud.apply(Release(package, "digits", None), silent)
    assert "DeleteStack" in stacks.asked


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("UPDATE_IN_PROGRESS", "is UPDATE_IN_PROGRESS: try again when that is done"),
        ("UPDATE_ROLLBACK_FAILED", "run `aws cloudformation continue-update-rollback --region eu-central-1"),
    ],
)
def test_a_stack_that_takes_no_update_is_said_to(
    status: str, text: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks = Stacks(status)
    with deploying(root, stacks, monkeypatch) as cloud, pytest.raises(DeploymentError, match=text):
        cloud.find()


def test_a_stack_that_was_only_planned_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with deploying(root, Stacks("REVIEW_IN_PROGRESS"), monkeypatch) as cloud:
        assert cloud.find() is None
