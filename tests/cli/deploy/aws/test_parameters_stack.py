from pathlib import Path
from typing import Any

import boto3
import pytest

from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import UsageError
from tests.helpers.aws_deployment import REGION, aws, deployed


def test_the_package_is_made_for_the_architecture_and_the_runtime_that_are_set(root: Path) -> None:
    cloud = Aws(Options("set", REGION, others={"Architecture": "x86_64", "Runtime": "python3.12"}), root)
    assert cloud.target() == Target("aws", "x86_64", "3.12")


@pytest.mark.parametrize(
    ("name", "option", "named"),
    [
        ("UrlAuth", "--auth", {"auth": "iam"}),
        ("MemorySize", "--memory", {"memory_mib": 512}),
        ("Architecture", "--arch", {"arch": "arm64"}),
        ("Runtime", "--python", {"python": "3.13"}),
    ],
)
def test_a_setting_is_named_once(root: Path, name: str, option: str, named: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--set {name}: expected it or {option}, which .* got both"):
        Aws(Options("set", REGION, others={name: "NONE"}, **named), root)


def test_any_parameter_of_the_template_can_be_set(root: Path, package: Path) -> None:
    options = Options("others", REGION, others={"Variant": "int8", "RefreshSeconds": "5"})
    assert deployed(Aws(options, root), package).variant == "int8"


def parameters_of(name: str) -> dict[str, str]:
    stack = boto3.client("cloudformation", region_name=REGION).describe_stacks(StackName=name)["Stacks"][0]
    return {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}


def test_each_parameter_of_a_function_makes_another_revision_and_no_other_does(root: Path, package: Path) -> None:
    revisions = []
    groups = {"VpcSubnetIds": "subnet-1", "VpcSecurityGroupIds": "sg-1"}
    for others in ({}, {}, {"LogDays": "7"}, groups, {"VpcSecurityGroupIds": "sg-2"}):
        cloud = Aws(Options("revisions", REGION, others=others), root)
        for _ in range(2):  # as a first deployment does, before and after it knows what to expect
            deployed(cloud, package, "x")
        revisions.append(parameters_of("revisions")["Revision"])
    same, again, logs, network, moved = revisions
    assert same == again == logs
    assert len({same, network, moved}) == 3


def test_an_expectation_that_no_function_has_room_for_is_left_out(root: Path, package: Path) -> None:
    deployed(aws(root, "long"), package, "x" * 2049)
    assert parameters_of("long")["Prefetch"] == ""


class TestConcurrency:
    def test_a_new_account_gets_no_more_than_it_can_run(
        self, root: Path, package: Path, account: dict[str, int]
    ) -> None:
        account |= {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
        cloud = aws(root, "new")
        assert cloud.check().endswith(
            "; BatchConcurrency 5 and ObjectConcurrency 2 instead of more, for the account has 10 environments at a "
            "time, 10 of them not reserved"
        )
        deployed(cloud, package)
        found = parameters_of("new")
        assert (found["BatchConcurrency"], found["ObjectConcurrency"]) == ("5", "2")

    def test_what_a_new_account_cannot_reserve_is_refused_before_anything_is_deployed(
        self, root: Path, account: dict[str, int]
    ) -> None:
        account |= {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
        cloud = Aws(Options("reserves", REGION, others={"ReservedConcurrency": "5"}), root)
        with pytest.raises(UsageError, match="ReservedConcurrency: expected at most 0, got 5: all functions"):
            cloud.check()

    def test_credentials_that_may_not_ask_for_it_deploy_all_the_same(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
        assert "; its concurrency is unknown (lambda:GetAccountSettings: " in aws(root, "unknown").check()
