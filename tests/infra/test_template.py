"""What template.yaml says, read as CloudFormation would read it."""

import ast
import functools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from onnxlet.contract import expectation
from onnxlet.errors import SettingsError
from onnxlet.settings import Settings
from tests.helpers import keys
from tests.infra import template
from tests.infra.template import ROOT, Stack, statements

FUNCTIONS = {
    "HttpFunction": "main.aws_http",
    "ObjectFunction": "main.aws_objects",
    "MapFunction": "main.aws_map",
    "SummaryFunction": "main.aws_summary",
}

CHECKOV = ROOT / "infra/aws/.checkov.yaml"

BUCKETS = ("Models", "Inputs", "Results")

NOT_SET = {
    "ONNXLET_MEMORY_MIB": "half of a function's memory, its default on Lambda, is right for a function of our own",
    "ONNXLET_CACHE": "a disk cache pays where environments live long and models change often: not on Lambda",
    "ONNXLET_CACHE_MIB": "as ONNXLET_CACHE",
    "ONNXLET_TIMEOUT_S": "Lambda itself says at each invocation how much time is left",
}
"""Settings that the template leaves at their defaults, and why."""

CHANGES: dict[str, dict[str, str]] = {
    "ModelName": {"ModelName": "cats"},
    "Variant": {"Variant": "int8"},
    "Prefetch": {"Prefetch": f"*={'a' * 64}:10,{'b' * 64}:20"},
    "RefreshSeconds": {"RefreshSeconds": "5"},
    "PublicKeys": {"PublicKeys": keys.text(1)},
    "CaptureShare": {"CaptureShare": "0.05"},
    "CaptureInputs": {"CaptureInputs": "1"},
    "UrlAuth": {"UrlAuth": "API_KEY"},
    "Access": {"Access": "keys"},
    "Edge": {"Edge": "1"},
    "BasePath": {"BasePath": "/ml"},
    "CorsOrigins": {"CorsOrigins": "https://app.example.com"},
    "ExplainRuns": {"ExplainRuns": "0"},
    "GenerateLength": {"GenerateLength": "4096"},
    "ApiRequestsPerSecond": {"ApiRequestsPerSecond": "5"},
    "ApiRequestsPerMonth": {"ApiRequestsPerMonth": "5"},
    "Architecture": {"Architecture": "x86_64"},
    "Runtime": {"Runtime": "python3.14"},
    "MemorySize": {"MemorySize": "3538"},
    "Timeout": {"Timeout": "60"},
    "SnapStart": {"SnapStart": "true"},
    "ProvisionedConcurrency": {"ProvisionedConcurrency": "2"},
    "ReservedConcurrency": {"ReservedConcurrency": "20"},
    "ObjectConcurrency": {"ObjectConcurrency": "20"},
    "BatchConcurrency": {"BatchConcurrency": "20"},
    "BatchItems": {"BatchItems": "20"},
    "ToleratedFailurePercentage": {"ToleratedFailurePercentage": "20"},
    "KeepDays": {"KeepDays": "20"},
    "LogDays": {"LogDays": "90"},
    "KmsKeyArn": {"KmsKeyArn": "arn:aws:kms:us-east-1:account:key/name"},
    "VpcSubnetIds": {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"},
    "VpcSecurityGroupIds": {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1,sg-2"},
    "RegistryBucket": {"RegistryBucket": "my-models"},
    "InputBucket": {"InputBucket": "my-inputs"},
    "ResultsBucket": {"ResultsBucket": "my-results"},
    "PermissionsBoundary": {"PermissionsBoundary": "arn:aws:iam::account:policy/boundary"},
    "Revision": {"Revision": "0123456789"},
    "AlarmTopic": {"AlarmTopic": "arn:aws:sns:us-east-1:account:topic"},
    "SlowMilliseconds": {"SlowMilliseconds": "20"},
    "CanaryDeployment": {"CanaryDeployment": "true"},
}
"""For each parameter, another value than its default."""

LONGEST = {
    "ModelName": "m" * 63,
    "Variant": "v" * 24,
    "Prefetch": f"{'a' * expectation.NAME_DIGITS}=;".ljust(2048, "b"),
    "RefreshSeconds": "86400",
    "PublicKeys": f"{keys.text(1)},{keys.text(2)}",
    "CaptureShare": "0.00001",
    "CaptureInputs": "1",
    "Access": "keys",
    "Edge": "1",
    "BasePath": f"/{'b' * 11}",
    "CorsOrigins": "https://app.example.com".ljust(512, "m"),
    "ExplainRuns": "10000",
    "GenerateLength": "4096",
    "Runtime": "python3.14",
    "MemorySize": "10240",
    "Timeout": "300",
    "RegistryBucket": "r" * 63,
    "InputBucket": "i" * 63,
    "ResultsBucket": "o" * 63,
    "VpcSubnetIds": ",".join(f"subnet-{number:017}" for number in range(16)),
    "VpcSecurityGroupIds": ",".join(f"sg-{number:017}" for number in range(5)),
    "Revision": "0123456789",
}
"""For each parameter that a function depends on, as long a value as it takes, and as `onnxlet deploy` gives it."""

MAX_DESCRIPTION = 256
"""Characters. Source: Lambda's API, `Description` of PublishVersion and CreateFunction."""

MAX_VARIABLES = 4096
"""Bytes. Lambda measures all variables of a function as one JSON document. Source: Lambda quotas; its error, "exceeded
the 4KB limit. String measured: {...}"."""

UNVERSIONED = ("ReservedConcurrentExecutions", "Tags")
"""Of a function's properties, those that are no part of a version."""


@functools.cache
def stack(**given: str) -> Stack:
    return template.translate(**given)


def environment(found: Stack, function: str) -> dict[str, str]:
    """A function's variables, with bucket names in place of references."""
    variables = found.of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
    return {name: re.sub(r"<(\w+)>", lambda match: match[1].lower(), value) for name, value in variables.items()}


def is_valid(declared: dict[str, Any], value: str) -> bool:
    """Whether CloudFormation takes a value for a parameter."""
    if "AllowedValues" in declared:
        return value in map(str, declared["AllowedValues"])
    if declared["Type"] == "Number":
        return bool(declared.get("MinValue", -math.inf) <= float(value) <= declared.get("MaxValue", math.inf))
    fits = bool(len(value) <= declared.get("MaxLength", 4096))
    return fits and re.fullmatch(declared.get("AllowedPattern", ".*"), value, re.DOTALL) is not None


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


class TestVersions:
    """SAM publishes no version where only a parameter changes (serverless-application-model #3820)."""

    @staticmethod
    def version(found: Stack, function: str) -> tuple[str, str]:
        """What makes CloudFormation publish another: the logical id, and the description."""
        versions = found.of_type("AWS::Lambda::Version").items()
        ((name, item),) = [(name, item) for name, item in versions if item["FunctionName"] == f"<{function}>"]
        return name, item["Description"]

    def test_every_parameter_has_a_change_here(self) -> None:
        assert CHANGES.keys() == template.read()["Parameters"].keys()

    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize("parameter", CHANGES)
    def test_a_parameter_publishes_a_version_of_just_the_functions_that_it_changes(
        self, parameter: str, function: str
    ) -> None:
        """Lambda refuses a version that differs in nothing, and an alias never sees what was not published."""
        before, after = stack(), stack(**CHANGES[parameter])

        def properties(found: Stack) -> dict[str, Any]:
            item = found.of_type("AWS::Lambda::Function")[function]
            return {name: value for name, value in item.items() if name not in UNVERSIONED}

        is_changed = properties(before) != properties(after)
        assert (self.version(before, function) != self.version(after, function)) == is_changed

    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize(
        "change",
        [
            {"VpcSecurityGroupIds": "sg-2"},
            {"VpcSecurityGroupIds": "sg-1,sg-2"},
            {"VpcSubnetIds": "subnet-1,subnet-3"},
            {"RegistryBucket": "my-registry-2"},
            {"ResultsBucket": "my-results-2"},
        ],
    )
    def test_no_change_of_a_list_or_a_bucket_is_silent(self, change: dict[str, str], function: str) -> None:
        given = {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1", "ResultsBucket": "my-results"}
        assert self.version(stack(**given), function) != self.version(stack(**{**given, **change}), function)

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_a_revision_is_new_in_the_version_and_in_the_function_that_it_publishes(self, function: str) -> None:
        """CloudFormation compares the version's description, and Lambda whether the function is another."""
        found = [stack(Revision=word) for word in ("0000000001", "0000000002")]
        assert len({self.version(each, function) for each in found}) == 2
        assert len({each.of_type("AWS::Lambda::Function")[function]["Description"] for each in found}) == 2

    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
    @pytest.mark.parametrize("snap_start", ["true", "false"])
    def test_no_description_is_ever_too_long(self, function: str, architecture: str, snap_start: str) -> None:
        found = stack(**{**LONGEST, "Architecture": architecture, "SnapStart": snap_start})
        assert len(self.version(found, function)[1]) <= MAX_DESCRIPTION
        assert len(found.of_type("AWS::Lambda::Function")[function]["Description"]) <= MAX_DESCRIPTION

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_variables_always_fit_into_a_function(self, function: str) -> None:
        variables = stack(**LONGEST).of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
        assert len(json.dumps(variables, separators=(",", ":"))) <= MAX_VARIABLES

    def test_the_longest_is_allowed_and_no_longer_one_is(self) -> None:
        for name, declared in template.read()["Parameters"].items():
            value = LONGEST.get(name, str(declared.get("Default", "")))
            assert is_valid(declared, value), (name, value)
            if name in LONGEST and declared["Type"] == "String" and "AllowedValues" not in declared:
                assert not any(is_valid(declared, f"{value}{more}") for more in ("0", "a", "=", "/a", ".a")), name


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


class TestHttp:
    def test_iam_alone_is_asked_by_default(self) -> None:
        found = stack()
        (url,) = found.of_type("AWS::Lambda::Url").values()
        assert (url["AuthType"], url["Qualifier"]) == ("AWS_IAM", "live")
        assert found.of_type("AWS::Lambda::Permission") == {}
        assert found.of_type("AWS::ApiGateway::RestApi") == {}

    def test_the_public_has_both_permissions_that_a_url_needs(self) -> None:
        found = stack(UrlAuth="NONE")
        (url,) = found.of_type("AWS::Lambda::Url").values()
        assert url["AuthType"] == "NONE"
        permissions = found.of_type("AWS::Lambda::Permission").values()
        assert {item["Action"] for item in permissions} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
        for item in permissions:
            # without these anybody could call Invoke itself
            assert item.get("FunctionUrlAuthType") == "NONE" or item.get("InvokedViaFunctionUrl") is True
            assert item["FunctionName"] == "<HttpFunctionAliaslive>"

    def test_a_preflight_needs_no_key_of_the_api_where_origins_are_listed_and_only_there(self) -> None:
        for given in ({}, {"CorsOrigins": "*"}, {"UrlAuth": "API_KEY"}):
            found = stack(**given)
            methods = found.of_type("AWS::ApiGateway::Method").values()
            assert all(item["HttpMethod"] == "ANY" and item["ApiKeyRequired"] for item in methods)
        listed = stack(UrlAuth="API_KEY", CorsOrigins="https://a.example,http://localhost:3000")
        methods = listed.of_type("AWS::ApiGateway::Method").values()
        open_to_all = {item["ResourceId"]: item for item in methods if not item["ApiKeyRequired"]}
        assert open_to_all.keys() == {"<Api.RootResourceId>", "<ApiPath>"}
        for item in open_to_all.values():
            assert item["HttpMethod"] == "OPTIONS"
            (same,) = [each for each in methods if each["ResourceId"] == item["ResourceId"] and each["ApiKeyRequired"]]
            assert (item["Integration"], same["HttpMethod"]) == (same["Integration"], "ANY")

    def test_the_stage_serves_a_deployment_that_was_made_after_its_methods(self) -> None:
        """A deployment is a snapshot: one of before would not have the preflights' methods."""
        for given, name in (({}, "ApiDeployment"), ({"CorsOrigins": "*"}, "ApiPreflightDeployment")):
            found = stack(UrlAuth="API_KEY", **given)
            (stage,) = found.of_type("AWS::ApiGateway::Stage").values()
            assert stage["DeploymentId"] == f"<{name}>"
            assert set(found.of_type("AWS::ApiGateway::Method")) == set(found.resources[name]["DependsOn"])

    @pytest.mark.parametrize(
        ("text", "is_allowed"),
        [
            ("", True),
            ("*", True),
            ("https://app.example.com", True),
            ("https://app.example.com,http://localhost:3000 http://[::1]:8080", True),
            ("* https://app.example.com", False),
            ("https://app.example.com/", False),
            ("https://*.example.com", False),
            ("app.example.com", False),
            ("https://App.example.com", False),
        ],
    )
    def test_origins_are_refused_by_cloudformation_where_no_function_would_start(
        self, text: str, is_allowed: bool
    ) -> None:
        assert is_valid(template.read()["Parameters"]["CorsOrigins"], text) == is_allowed
        given = {"ONNXLET_REGISTRY": "s3://b", "ONNXLET_CORS_ORIGINS": text}
        if is_allowed:
            assert Settings.from_environment(given).cors_origins == tuple(text.replace(",", " ").split())
        else:
            with pytest.raises(SettingsError):
                Settings.from_environment(given)

    def test_keys_come_with_an_api_and_without_a_url(self) -> None:
        found = stack(UrlAuth="API_KEY")
        assert found.of_type("AWS::Lambda::Url") == {}
        methods = found.of_type("AWS::ApiGateway::Method").values()
        assert {item["ResourceId"] for item in methods} == {"<Api.RootResourceId>", "<ApiPath>"}
        assert all(item["ApiKeyRequired"] and item["HttpMethod"] == "ANY" for item in methods)
        (permission,) = found.of_type("AWS::Lambda::Permission").values()
        assert permission["SourceArn"].endswith(":<Api>/live/*")
        (plan,) = found.of_type("AWS::ApiGateway::UsagePlan").values()
        assert plan["Throttle"]["RateLimit"] == "50"
        assert plan["Quota"] == {"Limit": "1000000", "Period": "MONTH"}
        assert found.outputs()["HttpUrl"] == "https://<Api>.execute-api.us-east-1.amazonaws.com/live"
        assert found.outputs()["ApiKeyId"] == "<ApiKey>"

    def test_a_canary_is_taken_back_by_the_alarms_of_what_callers_notice(self) -> None:
        found = stack(CanaryDeployment="true")
        (group,) = found.of_type("AWS::CodeDeploy::DeploymentGroup").values()
        assert group["AlarmConfiguration"]["Alarms"] == [
            {"Name": "<HttpErrors>"},
            {"Name": "<HttpFailures>"},
            {"Name": "<HttpSlow>"},
        ]
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert not any(item["Type"].startswith("AWS::CodeDeploy") for item in stack().resources.values())


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
