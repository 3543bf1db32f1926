"""What template.yaml says, read as CloudFormation would read it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from onnxlet.settings import Settings
from tests.helpers import keys
from tests.helpers.template_stack import CHANGES, FUNCTIONS, environment, stack
from tests.infra import template
from tests.infra.template import ROOT, statements

CHECKOV = ROOT / "infra/aws/.checkov.yaml"


BUCKETS = ("Models", "Inputs", "Results")


NOT_SET = {
    "ONNXLET_MEMORY_MIB": "half of a function's memory, its default on Lambda, is right for a function of our own",
    "ONNXLET_CACHE": "a disk cache pays where environments live long and models change often: not on Lambda",
    "ONNXLET_CACHE_MIB": "as ONNXLET_CACHE",
    "ONNXLET_TIMEOUT_S": "Lambda itself says at each invocation how much time is left",
}
"""Settings that the template leaves at their defaults, and why."""


def settings_read() -> set[str]:
    """Every `ONNXLET_*` variable that the settings read."""
    tree = ast.parse((ROOT / "functions/onnxlet/settings/__init__.py").read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in strings if re.fullmatch(r"ONNXLET_[A-Z_]+", text)}


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


def find_tool(name: str, venv: str) -> str:
    """A tool whose dependencies fight ours; `make lint-infra` puts each into a venv of its own."""
    found = shutil.which(name, path=os.pathsep.join([str(ROOT / venv / "bin"), os.environ["PATH"]]))
    if found is None or run([found, "--version"]).returncode:
        pytest.skip(f"{name} is not on this machine: make lint-infra")
    return found


def test_cfn_lint_finds_nothing() -> None:
    done = run([sys.executable, "-c", "from cfnlint import runner; runner.main()", "template.yaml"])
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_sam_finds_nothing() -> None:
    sam = find_tool("sam", ".venv-deploy")
    done = run(
        [sam, "validate", "--lint", "--template", "template.yaml"], AWS_REGION="us-east-1", SAM_CLI_TELEMETRY="0"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_checkov_finds_nothing_but_what_is_left_for_a_reason() -> None:
    checkov = find_tool("checkov", ".venv-checkov")
    options = ["--config-file", str(CHECKOV), "--framework", "cloudformation", "--file", "template.yaml"]
    done = run([checkov, *options])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Passed checks: [1-9]\d+, Failed checks: 0", done.stdout), done.stdout


def test_each_check_that_is_left_out_has_a_reason() -> None:
    lines = [line for line in CHECKOV.read_text().splitlines() if "CKV" in line]
    assert lines
    assert all(re.fullmatch(r"  - CKV_AWS_\d+ # .{20,}", line) for line in lines)


def test_every_variable_that_is_set_is_read_and_every_setting_is_set_or_left_for_a_reason() -> None:
    found = stack()
    names = {name for function in FUNCTIONS for name in environment(found, function) if name.startswith("ONNXLET_")}
    assert names <= settings_read()
    assert settings_read() - names == set(NOT_SET)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_starts_with_its_settings(function: str) -> None:
    """Among them that no result lies inside an input place."""
    changed = {"ModelName": "cats", "Prefetch": "*=", "Variant": "int8", "RefreshSeconds": "0"}
    for given in ({}, {**changed, "PublicKeys": f"{keys.text(1)},{keys.text(2)}"}):
        settings = Settings.from_environment(environment(stack(**given), function))
        assert settings.registry == "s3://models/registry"
        assert settings.results is not None
        assert settings.results.startswith("s3://results/")
    is_summary = function == "SummaryFunction"
    assert settings.model == (None if is_summary else "cats")
    assert settings.public_keys == (() if is_summary else (keys.public_key(1), keys.public_key(2)))


def test_every_handler_is_an_entry_point_with_its_telemetry_off() -> None:
    found = stack().of_type("AWS::Lambda::Function")
    assert {name: item["Handler"] for name, item in found.items()} == FUNCTIONS
    tree = ast.parse((ROOT / "functions/main.py").read_text())
    entry_points = {f"main.{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(FUNCTIONS.values()) <= entry_points
    for item in found.values():
        assert item["Environment"]["Variables"]["ORT_DISABLE_TELEMETRY"] == "1"
        assert item["TracingConfig"] == {"Mode": "Active"}
        assert item["LoggingConfig"]["LogGroup"].endswith("Logs>")


def test_the_package_is_the_one_of_onnxlet_package_and_sam_builds_none() -> None:
    written = template.read()
    assert written["Globals"]["Function"]["CodeUri"] == "dist/onnxlet-aws"
    for name in FUNCTIONS:
        assert written["Resources"][name]["Metadata"] == {"SkipBuild": True}
        assert "CodeUri" not in written["Resources"][name]["Properties"]


class TestBuckets:
    @pytest.mark.parametrize("name", BUCKETS)
    def test_a_bucket_is_private_encrypted_versioned_and_stays(self, name: str) -> None:
        for given, algorithm in (({}, "AES256"), (CHANGES["KmsKeyArn"], "aws:kms")):
            bucket = stack(**given).resources[name]
            properties = bucket["Properties"]
            assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
            assert len(properties["PublicAccessBlockConfiguration"]) == 4
            (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm
            assert rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID") == given.get("KmsKeyArn")
            assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
            assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
            assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")

    def test_nothing_else_stays(self) -> None:
        """But for the versions of the functions, which Lambda deletes with them."""
        kept = {name for name, item in stack().resources.items() if "Retain" in item.get("DeletionPolicy", "")}
        assert {name for name in kept if "Version" not in name} == set(BUCKETS)

    @pytest.mark.parametrize("name", BUCKETS)
    def test_a_bucket_speaks_tls_only(self, name: str) -> None:
        policies = stack().of_type("AWS::S3::BucketPolicy").values()
        (policy,) = [item["PolicyDocument"] for item in policies if item["Bucket"] == f"<{name}>"]
        (statement,) = statements(policy)
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", ["s3:*"])
        assert set(statement["Resource"]) == {f"<{name}.Arn>", f"<{name}.Arn>/*"}
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    @pytest.mark.parametrize("name", BUCKETS)
    def test_what_was_replaced_and_what_was_never_finished_goes(self, name: str) -> None:
        rules = stack().resources[name]["Properties"]["LifecycleConfiguration"]["Rules"]
        assert any("NoncurrentVersionExpiration" in rule for rule in rules)
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)

    def test_models_never_go_and_inputs_and_results_only_where_that_was_said(self) -> None:
        for days, status in (("0", "Disabled"), ("20", "Enabled")):
            found = stack(KeepDays=days)
            for name in BUCKETS:
                rules = found.resources[name]["Properties"]["LifecycleConfiguration"]["Rules"]
                expiring = [rule for rule in rules if "ExpirationInDays" in rule and "Prefix" not in rule]
                assert [rule["Status"] for rule in expiring] == ([] if name == "Models" else [status])
                assert all(rule["ExpirationInDays"] == "20" for rule in expiring if status == "Enabled")


class TestObjects:
    def test_the_queue_hides_a_message_for_six_times_the_longest_delivery(self) -> None:
        for seconds in template.read()["Parameters"]["Timeout"]["AllowedValues"]:
            found = stack(Timeout=seconds)
            assert found.of_type("AWS::Lambda::Function")["ObjectFunction"]["Timeout"] == seconds
            assert found.of_type("AWS::SQS::Queue")["Queue"]["VisibilityTimeout"] == 6 * int(seconds)

    def test_what_fails_alone_comes_again_alone_and_is_laid_aside_after_five_times(self) -> None:
        (mapping,) = stack().of_type("AWS::Lambda::EventSourceMapping").values()
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["FunctionName"] == "<ObjectFunctionAliaslive>"
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": "10"}
        queues = stack().of_type("AWS::SQS::Queue")
        assert queues["Queue"]["RedrivePolicy"] == {
            "deadLetterTargetArn": "<DeadLetterQueue.Arn>",
            "maxReceiveCount": 5,
        }
        retention = {name: item["MessageRetentionPeriod"] for name, item in queues.items()}
        assert retention["DeadLetterQueue"] > retention["Queue"]
        assert all(item["SqsManagedSseEnabled"] for item in queues.values())

    def test_just_what_the_function_may_read_is_announced_to_it(self) -> None:
        configuration = stack().of_type("AWS::S3::Bucket")["Inputs"]["NotificationConfiguration"]
        (queue,) = configuration["QueueConfigurations"]
        (rule,) = queue["Filter"]["S3Key"]["Rules"]
        inputs = stack().outputs()["InputUrl"]
        assert f"s3://<Inputs>/{rule['Value']}" == f"{inputs}/"
        assert environment(stack(), "ObjectFunction")["ONNXLET_INPUTS"] == "s3://inputs/in"
        assert stack().resources["Inputs"]["DependsOn"] == "QueuePolicy", "S3 tries the queue when it is named"

    def test_of_all_the_world_only_our_buckets_may_write_into_the_queue(self) -> None:
        policies = stack().of_type("AWS::SQS::QueuePolicy").values()
        allowed = [
            each for item in policies for each in statements(item["PolicyDocument"]) if each["Effect"] == "Allow"
        ]
        (statement,) = allowed
        assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
        assert statement["Action"] == ["sqs:SendMessage"]
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "account"}


class TestWatching:
    def test_each_alarm_goes_to_the_topic_where_there_is_one(self) -> None:
        for given, actions in (({}, None), (CHANGES["AlarmTopic"], list(CHANGES["AlarmTopic"].values()))):
            for alarm in stack(**given).of_type("AWS::CloudWatch::Alarm").values():
                assert (alarm.get("AlarmActions"), alarm.get("OKActions")) == (actions, actions)
                assert alarm["TreatMissingData"] == "notBreaching"

    def test_what_must_be_watched_is(self) -> None:
        alarms = stack().of_type("AWS::CloudWatch::Alarm").values()
        metrics = {(alarm["MetricName"], alarm.get("Statistic", alarm.get("ExtendedStatistic"))) for alarm in alarms}
        assert metrics >= {
            ("Errors", "Sum"),
            ("Url5xxCount", "Sum"),
            ("Duration", "p99"),
            ("Throttles", "Sum"),
            ("ApproximateNumberOfMessagesVisible", "Maximum"),
            ("ApproximateAgeOfOldestMessage", "Maximum"),
            ("ExecutionsFailed", "Sum"),
        }

    def test_the_dashboard_is_json_and_shows_every_alarm(self) -> None:
        (board,) = stack().of_type("AWS::CloudWatch::Dashboard").values()
        document = json.loads(board["DashboardBody"])
        shown = next(item["properties"]["alarms"] for item in document["widgets"] if item["type"] == "alarm")
        assert set(shown) == {f"<{name}.Arn>" for name in stack().of_type("AWS::CloudWatch::Alarm")}

    def test_logs_go_after_a_while(self) -> None:
        groups = stack().of_type("AWS::Logs::LogGroup")
        assert len(groups) == len(FUNCTIONS) + 1
        assert all(item["RetentionInDays"] == "30" for item in groups.values())


def test_the_outputs_are_those_that_deploy_reads() -> None:
    assert stack().outputs().keys() >= {
        "HttpUrl",
        "HttpFunction",
        "ObjectFunction",
        "RegistryUrl",
        "InputUrl",
        "ResultsUrl",
        "DeadLetterQueueUrl",
        "BatchStateMachine",
        "Dashboard",
    }


def test_no_account_is_named() -> None:
    for path in (template.TEMPLATE, ROOT / "infra/aws/batch.asl.json", ROOT / "samconfig.toml"):
        assert not re.search(r"(?<![\d.])\d{12}(?![\d.])", path.read_text()), path


def test_conditions_of_the_network_reach_every_function() -> None:
    for item in stack(**CHANGES["VpcSubnetIds"]).of_type("AWS::Lambda::Function").values():
        assert item["VpcConfig"] == {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert all("VpcConfig" not in item for item in stack().of_type("AWS::Lambda::Function").values())
