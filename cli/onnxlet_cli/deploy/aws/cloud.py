"""AWS as a cloud: the template, deployed by AWS SAM as one CloudFormation stack."""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions

from onnxlet.registry.registry import Registry
from onnxlet.storage import urls
from onnxlet_cli.assets import deployment_folder
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy import cloud
from onnxlet_cli.deploy.aws import buckets, credentials, notifications, parameters, sam, stack, versions
from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.deploy.aws.caller import Caller
from onnxlet_cli.deploy.aws.parameters import AUTHS, FIELDS, StackParameters
from onnxlet_cli.deploy.aws.sam import Sam
from onnxlet_cli.deploy.aws.stack import Stack
from onnxlet_cli.deploy.cloud import Change, Deployed, Options, Outputs, Release, Retained
from onnxlet_cli.deploy.process import Finished, Report
from onnxlet_cli.errors import DeploymentError
from onnxlet_cli.http_client import Response
from onnxlet_cli.package.target import DEFAULT_PYTHON, Target, parse_target
from onnxlet_cli.registry import open_s3, to_registry
from onnxlet_publishing.errors import CommandError, UsageError

QUEUES, ALARMS = 1, 10
"""The queues of the template that Lambda polls, and its alarms: both are billed while idle."""


class Aws:
    """A stack in one region of one account.

    Raises:
        UsageError: an option does not exist for AWS.
    """

    def __init__(self, options: Options, root: Path | None = None) -> None:
        if options.project is not None:
            raise UsageError("--project: AWS has none; it is for --cloud gcp")
        if options.auth is not None and options.auth not in AUTHS:
            raise UsageError(f"--auth {options.auth}: expected one of {', '.join(AUTHS)}")
        cloud.check_named_once(options, FIELDS)
        self.options = options
        self.root = root or deployment_folder()
        self.parameters = StackParameters(options, self.root / sam.TEMPLATE)
        self._stack: Stack | None = None

    @cached_property
    def identity(self) -> Any:
        """The credentials as a session of botocore, resolved once for this command and for SAM, as `freeze` does."""
        return credentials.freeze()

    @cached_property
    def session(self) -> Any:
        """The session of boto3, with the credentials and the region; a UsageError if no region is set."""
        region = self.options.region or os.environ.get("AWS_REGION") or None  # boto3 reads only AWS_DEFAULT_REGION
        with aws_errors("AWS"):
            session = boto3.Session(region_name=region, botocore_session=self.identity)
        if session.region_name is None:
            raise UsageError("no AWS region: give --region, or set AWS_REGION")
        return session

    @property
    def region(self) -> str:
        """The region's name."""
        return str(self.session.region_name)

    @cached_property
    def cloudformation(self) -> Any:
        """CloudFormation's client."""
        return self.session.client("cloudformation")

    @cached_property
    def sam(self) -> Sam:
        """SAM's command."""
        environment = credentials.to_environment(self.identity)
        return Sam(sam.find_sam(self.root), self.root, self.options.name, self.region, environment)

    @cached_property
    def s3(self) -> Any:
        """S3's client."""
        return self.session.client("s3")

    def check(self) -> str:
        """Check as `Cloud.check`, and that the account can give what the parameters request."""
        sam.require_template(self.root)
        parameters.check_parameters(self.options.others, self.parameters.declared)
        stack.check_tags(self.options.tags)
        line = self.check_account()
        self._read_stack()
        values = self.parameters.values()
        buckets.check(self.s3, values, self.region, values["KmsKeyArn"])
        if values["InputBucket"]:
            queue = self._stack.outputs.get("QueueArn") if self._stack else None
            notifications.check(self.s3, values["InputBucket"], queue, self._notification)
        return f"{line}, by {self.sam.executable}{self.parameters.fit(self.session.client('lambda'))}"

    def check_account(self) -> str:
        """Check that there is a region, and an account that accepts the credentials."""
        region = self.region
        with aws_errors(f"the region {region}"):
            account = self.session.client("sts").get_caller_identity()["Account"]
        return f'stack "{self.options.name}" in {region}, account {account}'

    def find(self) -> Deployed | None:
        """Return what is deployed, as `Cloud.find`."""
        found = self._read_stack()
        if found is None or not found.is_made:
            return None
        if found.is_busy:
            raise DeploymentError(f'stack "{self.options.name}" is {found.status}: try again when that is done')
        if found.status == "UPDATE_ROLLBACK_FAILED":
            raise DeploymentError(
                f'stack "{self.options.name}" is {found.status}: run `aws cloudformation continue-update-rollback '
                f"--region {self.region} --stack-name {self.options.name}`, then try again"
            )
        deployed = self._to_deployed(found)
        bucket = self.options.others.get("RegistryBucket")
        if bucket not in (None, found.parameters.get("RegistryBucket", "")):
            cloud.require_registry(deployed.outputs, f"RegistryBucket={bucket}", f"s3://{bucket}/registry")
        return deployed

    def target(self) -> Target:
        """Return the package's target: from the options, or else as it is deployed."""
        arch = self.options.arch or self.parameters.chosen("Architecture", None)
        python = self.options.python or self.parameters.chosen("Runtime", DEFAULT_PYTHON).removeprefix("python")
        return parse_target("aws", arch, python)

    def memory_mib(self) -> int:
        """Return the memory of the HTTP function, as `Cloud.memory_mib`."""
        return int(self.options.memory_mib or self.parameters.chosen("MemorySize", 1769))

    def extras(self) -> Extras:
        """Return what is billed in addition, as `Cloud.extras`."""
        auth = AUTHS[self.options.auth] if self.options.auth else self.parameters.chosen("UrlAuth", "AWS_IAM")
        return Extras(
            provisioned=int(self.parameters.chosen("ProvisionedConcurrency", 0)),
            has_snapshots=self.parameters.chosen("SnapStart", "false") == "true",
            has_api=auth == "API_KEY",
            queues=QUEUES,
            alarms=ALARMS,
            dashboards=1,
        )

    def plan(self, release: Release, report: Report) -> list[Change]:
        """Make a change set, read it, and delete it without executing it."""
        done = self._deploy(release, report, is_executed=False)
        change_set = sam.CHANGE_SET.search(done.text)
        if change_set is None:
            return []
        changes = stack.read_changes(self.cloudformation, change_set[0])
        stack.drop_change_set(self.cloudformation, change_set[0], self.options.name)
        return changes

    def apply(self, release: Release, report: Report) -> Deployed:
        """Deploy, as `Cloud.apply`."""
        self._clear(report)
        bucket_before = self._input_bucket()
        done = self._deploy(release, report)
        found = self._read_stack()
        if found is None:
            raise DeploymentError(f'stack "{self.options.name}" is missing after its deployment: {done.last_error()}')
        report(f"deploy   {'nothing has changed' if sam.NO_CHANGE in done.text else found.status}")
        deployed = self._to_deployed(found)
        self._announce(found, bucket_before, report)
        return deployed

    def open_registry(self, url: str) -> Registry:
        """Open a registry with the credentials and in the region of the stack."""
        return to_registry(open_s3(url, self.region, self.identity))

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """Send a request, signed or with the API key if the function wants that."""
        return self._caller(outputs).send(f"{outputs.http_url.rstrip('/')}{path}", body, headers)

    def diagnostics(self, outputs: Outputs) -> list[str]:
        """Return the commands that show the dead letters and the function's log."""
        option, function = f"--region {self.region}", outputs.others.get("ObjectFunction")
        if not function:
            return []
        group = f"aws lambda get-function-configuration --function-name {function} {option}"
        return [
            f"aws sqs receive-message --queue-url {outputs.others.get('DeadLetterQueueUrl')} {option}",
            f'aws logs tail "$({group} --query LoggingConfig.LogGroup --output text)" --since 15m {option}',
        ]

    def remove_objects(self, url: str) -> None:
        """Delete all objects of a folder with all versions."""
        _, bucket, folder = urls.split(url)
        buckets.remove(self.session.resource("s3").Bucket(bucket), f"{folder}/")

    def tidy(self, report: Report) -> None:
        """Remove old versions of the functions; report a failure, raise none."""
        try:
            with aws_errors("old versions of the functions"):
                versions.tidy(self.session, self._require_stack().id, report)
        except (CommandError, botocore.exceptions.BotoCoreError) as error:
            report(f"versions not removed: {error}")

    def retained(self) -> list[Retained]:
        """Return the resources that the template retains."""
        return stack.read_retained(self.cloudformation, self._require_stack().id)

    def remove(self, report: Report) -> list[Retained]:
        """Delete the stack, its notification and its uploaded packages, as `Cloud.remove`."""
        found = self._stack = self._require_stack()
        retained = stack.read_retained(self.cloudformation, found.id)
        bucket, queues = self._input_bucket(), stack.find_resources(self.cloudformation, found.id, "AWS::SQS::Queue")
        stack.delete_stack(self.cloudformation, found, self.options.name)
        report(f'removed  stack "{self.options.name}"')
        notifications.silence_or_report(self.s3, bucket, queues.get("Queue"), report)
        self._remove_uploads(report)
        return retained

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """Return how to use the deployment, as `Cloud.describe`."""
        name, region, registry = self.options.name, self.region, outputs.registry_url
        curl = f"curl {self._caller(outputs).curl_options()}{outputs.http_url.rstrip('/')}/v2/models/{model}"
        copy = f"aws s3 cp photo.png {outputs.input_url.rstrip('/')}/ --region {region}"
        results = f"aws s3 ls --recursive {outputs.results_url} --region {region}"
        publish = f"AWS_REGION={region} onnxlet publish model.onnx --name {model} --registry {registry}"
        rollback = f"AWS_REGION={region} onnxlet rollback {model} --registry {registry}"
        return [
            ("Call it", [curl]),
            ("Answer a file", [copy, results]),
            ("Another version, live without a redeploy; and back", [publish, rollback]),
            ("Remove it", [f"onnxlet destroy --stack {name} --region {region}"]),
        ]

    def document(self) -> dict[str, Any]:
        """Return the place of the deployment, as `Cloud.document`."""
        return {"cloud": "aws", "stack": self.options.name, "region": self.region, "auth": self._auth()}

    def _find_stack(self) -> Stack | None:
        return stack.find_stack(self.cloudformation, self.options.name)

    def _read_stack(self) -> Stack | None:
        """Find the stack, and keep it and its parameters for the other methods."""
        self._stack = found = self._find_stack()
        self.parameters.deployed = found.parameters if found is not None and found.is_made else {}
        return found

    def _require_stack(self) -> Stack:
        found = self._find_stack()
        if found is None:
            raise DeploymentError(f'no stack "{self.options.name}" in {self.region}: nothing has this name')
        return found

    def _deploy(self, release: Release, report: Report, *, is_executed: bool = True) -> Finished:
        sam.unpack(release.package, self.root / sam.CODE)
        tags = {**(self._stack.tags if self._stack is not None else {}), **self.options.tags}
        overrides = self.parameters.overrides(release, self.target())
        done = self.sam.deploy(overrides, tags, report, is_executed=is_executed)
        if not done.is_ok:
            raise DeploymentError(self._why(done))
        return done

    def _why(self, done: Finished) -> str:
        found = self._find_stack()
        cause = None if found is None else stack.why_failed(self.cloudformation, found.id)
        is_later = found is not None and "Failed to create/update the stack" not in done.text
        text = done.last_error() if cause is None or is_later else cause
        return f'stack "{self.options.name}" was not deployed: {text}; put that right, then run the same command again'

    def _clear(self, report: Report) -> None:
        """Remove the rest of a stack whose creation failed: it would refuse the next deployment."""
        found = self._find_stack()
        if found is not None and not found.is_made and found.status != stack.IN_REVIEW:
            report(f'clear    stack "{self.options.name}" is {found.status}: what is left of it is removed')
            stack.delete_stack(self.cloudformation, found, self.options.name)

    def _to_deployed(self, found: Stack) -> Deployed:
        values = {**found.parameters, **self.options.others}
        model, variant = values.get("ModelName") or None, values.get("Variant") or None
        return Deployed(self._to_outputs(found), model, variant, values.get("PublicKeys", ""))

    def _to_outputs(self, found: Stack) -> Outputs:
        try:
            return Outputs.read(found.outputs, ("HttpUrl", "RegistryUrl", "InputUrl", "ResultsUrl"))
        except KeyError as error:
            raise DeploymentError(
                f'stack "{self.options.name}" is {found.status} and has no output {error}: it is not onnxlet\'s, '
                "or older than this checkout; take another --stack"
            ) from error

    def _auth(self) -> str:
        return self._stack.parameters.get("UrlAuth", "AWS_IAM") if self._stack is not None else "AWS_IAM"

    def _caller(self, outputs: Outputs) -> Caller:
        return Caller(self.session, self._auth(), outputs.others.get("ApiKeyId"))

    @property
    def _notification(self) -> str:
        """The name of the stack's notification in an existing bucket."""
        return f"onnxlet-{self.options.name}"

    def _input_bucket(self) -> str | None:
        """Return the bucket whose objects the current stack answers."""
        url = self._stack.outputs.get("InputUrl") if self._stack is not None else None
        return urlsplit(url).netloc if url else None

    def _announce(self, found: Stack, bucket_before: str | None, report: Report) -> None:
        """Make an existing input bucket announce its objects, and stop the one that the stack had before."""
        existing = found.parameters.get("InputBucket")
        if existing and notifications.announce(self.s3, existing, found.outputs["QueueArn"], self._notification):
            report(f"announce objects under s3://{existing}/{notifications.PREFIX} to the queue")
        if bucket_before is not None and bucket_before != self._input_bucket():
            queues = stack.find_resources(self.cloudformation, found.id, "AWS::SQS::Queue")
            notifications.silence_or_report(self.s3, bucket_before, queues.get("Queue"), report)

    def _remove_uploads(self, report: Report) -> None:
        """Delete the packages that SAM uploaded for this stack; SAM's bucket serves all stacks of the account."""
        managed = stack.find_stack(self.cloudformation, "aws-sam-cli-managed-default")
        bucket = None if managed is None else managed.outputs.get("SourceBucket")
        if bucket is None:
            return
        buckets.remove(self.session.resource("s3").Bucket(bucket), f"{self.options.name}/")
        report(f"removed  s3://{bucket}/{self.options.name}/, what was uploaded for it")
