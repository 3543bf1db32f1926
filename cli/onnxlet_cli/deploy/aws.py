"""AWS: the template, deployed by AWS SAM's command as one stack of CloudFormation."""

import os
import shutil
import zipfile
from collections.abc import Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from onnxlet.errors import CredentialsError, InvalidRequestError, OnnxletError, SettingsError, StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import urls
from onnxlet_cli import sigv4
from onnxlet_cli.assets import deployment_folder
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy import buckets, concurrency, credentials, parameters, sam, stack, versions
from onnxlet_cli.deploy.cloud import (
    Change,
    Deployed,
    Kept,
    Options,
    Outputs,
    Reply,
    Wanted,
    check_named_once,
    require_registry,
)
from onnxlet_cli.deploy.http import send
from onnxlet_cli.deploy.parameters import Parameter
from onnxlet_cli.deploy.process import Finished, Report
from onnxlet_cli.deploy.sam import Sam
from onnxlet_cli.deploy.stack import Stack, aws_errors
from onnxlet_cli.package.target import DEFAULT_PYTHON, Target, parse_target
from onnxlet_cli.registry import open_s3, to_registry

AUTHS = {"iam": "AWS_IAM", "none": "NONE", "api-key": "API_KEY"}
"""Who may call: whoever AWS's own permissions let in, anybody, or who knows a key; with the template's names."""

FIELDS = {"UrlAuth": "auth", "MemorySize": "memory_mib", "Architecture": "arch", "Runtime": "python"}
"""The template's parameters that options of the command name as well."""

QUEUES, ALARMS = 1, 10
"""How many queues of the template Lambda polls, and how many alarms the template has: both are billed while idle."""

FILE_MODE = 0o644
FOLDER_MODE = 0o755
"""Lambda runs functions as a user of its own, who must be able to read them whatever this machine's umask is."""


class Aws:
    """A stack in one region of one account."""

    def __init__(self, options: Options, root: Path | None = None) -> None:
        """Take what the user said, and the checkout; nothing is looked at yet.

        Raises:
            InvalidRequestError: an option that AWS does not have.
        """
        if options.project is not None:
            raise InvalidRequestError("--project: AWS has none; it is for --cloud gcp")
        if options.auth is not None and options.auth not in AUTHS:
            raise InvalidRequestError(f"--auth {options.auth}: expected one of {', '.join(AUTHS)}")
        check_named_once(options, FIELDS)
        self.options = options
        self.root = root or deployment_folder()
        self._stack: Stack | None = None
        self._fitted: dict[str, str] = {}
        """What the account's concurrency makes lower than it was, or would be by default."""

    @cached_property
    def identity(self) -> Any:
        """The caller, as a session of botocore, found once for this command and for SAM's.

        Raises:
            CredentialsError: there are no credentials, or they will not last.
        """
        return credentials.freeze()

    @cached_property
    def session(self) -> Any:
        """The credentials and the region.

        Raises:
            SettingsError: no region.
            CredentialsError: as `identity`.
        """
        region = self.options.region or os.environ.get("AWS_REGION") or None  # boto3 reads AWS_DEFAULT_REGION alone
        with aws_errors("AWS"):
            session = boto3.Session(region_name=region, botocore_session=self.identity)
        if session.region_name is None:
            raise SettingsError("no AWS region: give --region, or set AWS_REGION")
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

    @cached_property
    def declared(self) -> dict[str, Parameter]:
        """The template's parameters."""
        return parameters.read_parameters(self.root / sam.TEMPLATE)

    def check(self) -> str:
        """As `Cloud.check`: also that the account can give what the parameters ask for."""
        sam.require_template(self.root)
        parameters.check_parameters(self.options.others, self.declared)
        stack.check_tags(self.options.tags)
        line = self.check_account()
        self._stack = stack.find_stack(self.cloudformation, self.options.name)
        values = self._values({})
        buckets.check(self.s3, values, self.region, values["KmsKeyArn"])
        if values["InputBucket"]:
            queue = self._stack.outputs.get("QueueArn") if self._stack else None
            buckets.check_announcing(self.s3, values["InputBucket"], queue, self._notification)
        return f"{line}, by {self.sam.executable}{self._fit(values)}"

    def check_account(self) -> str:
        """Look whether there is a region, and an account that knows us."""
        region = self.region
        with aws_errors(f"the region {region}"):
            account = self.session.client("sts").get_caller_identity()["Account"]
        return f'stack "{self.options.name}" in {region}, account {account}'

    def find(self) -> Deployed | None:
        """As `Cloud.find`."""
        self._stack = found = stack.find_stack(self.cloudformation, self.options.name)
        if found is None or not found.is_made:
            return None
        if found.is_busy:
            raise StoreError(f'stack "{self.options.name}" is {found.status}: wait until that is done, then try again')
        if found.status == "UPDATE_ROLLBACK_FAILED":
            raise StoreError(
                f'stack "{self.options.name}" is {found.status}: run `aws cloudformation continue-update-rollback '
                f"--region {self.region} --stack-name {self.options.name}`, then try again"
            )
        deployed = self._to_deployed(found)
        bucket = self.options.others.get("RegistryBucket")
        if bucket not in (None, found.parameters.get("RegistryBucket", "")):
            require_registry(deployed.outputs, f"RegistryBucket={bucket}", f"s3://{bucket}/registry")
        return deployed

    def target(self) -> Target:
        """As `Cloud.target`: what was not said stays as it is."""
        arch = self.options.arch or self._chosen("Architecture", None)
        python = self.options.python or self._chosen("Runtime", DEFAULT_PYTHON).removeprefix("python")
        return parse_target("aws", arch, python)

    def memory_mib(self) -> int:
        """As `Cloud.memory_mib`."""
        return int(self.options.memory_mib or self._chosen("MemorySize", 1769))

    def extras(self) -> Extras:
        """As `Cloud.extras`."""
        auth = AUTHS[self.options.auth] if self.options.auth else self._chosen("UrlAuth", "AWS_IAM")
        return Extras(
            provisioned=int(self._chosen("ProvisionedConcurrency", 0)),
            has_snapshots=self._chosen("SnapStart", "false") == "true",
            has_api=auth == "API_KEY",
            queues=QUEUES,
            alarms=ALARMS,
            dashboards=1,
        )

    def plan(self, wanted: Wanted, report: Report) -> list[Change]:
        """As `Cloud.plan`: a change set that is not executed, and deleted again."""
        unpack(wanted.package, self.sam.code)
        done = self.sam.deploy(self._parameters(wanted), report, tags=self._tags(), is_executed=False)
        if not done.is_ok:
            raise StoreError(self._why(done))
        found = sam.CHANGE_SET.search(done.text)
        if found is None:
            return []
        changes = stack.read_changes(self.cloudformation, found[0])
        stack.drop_change_set(self.cloudformation, found[0], self.options.name)
        return changes

    def apply(self, wanted: Wanted, report: Report) -> Deployed:
        """As `Cloud.apply`."""
        self._clear(report)
        unpack(wanted.package, self.sam.code)
        before = self._input_bucket()
        done = self.sam.deploy(self._parameters(wanted), report, tags=self._tags())
        if not done.is_ok:
            raise StoreError(self._why(done))
        self._stack = found = stack.find_stack(self.cloudformation, self.options.name)
        if found is None:
            raise StoreError(f'stack "{self.options.name}" is not there after its deployment: {done.last_error()}')
        report(f"deploy   {'nothing has changed' if sam.NO_CHANGE in done.text else found.status}")
        deployed = self._to_deployed(found)
        self._announce(found, before, report)
        return deployed

    def open_registry(self, url: str) -> Registry:
        """As `Cloud.open_registry`."""
        return to_registry(open_s3(url, self.region, self.identity))

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """As `Cloud.send`: signed, or with the key, where that is asked for."""
        url = f"{outputs.http_url.rstrip('/')}{path}"
        auth = self._auth()
        if auth == "AWS_IAM":
            return send(url, body, self._signed(url, body, headers))
        if auth == "API_KEY":
            return send(url, body, {**headers, "x-api-key": self._api_key(outputs)})
        return send(url, body, headers)

    def look(self, outputs: Outputs) -> list[str]:
        """As `Cloud.look`: the dead letters, and the function's log."""
        where, function = f"--region {self.region}", outputs.others.get("ObjectFunction")
        if not function:
            return []
        group = f"aws lambda get-function-configuration --function-name {function} {where}"
        return [
            f"aws sqs receive-message --queue-url {outputs.others.get('DeadLetterQueueUrl')} {where}",
            f'aws logs tail "$({group} --query LoggingConfig.LogGroup --output text)" --since 15m {where}',
        ]

    def remove_objects(self, url: str) -> None:
        """As `Cloud.remove_objects`: with all versions."""
        _, bucket, folder = urls.split(url)
        buckets.remove(self.session.resource("s3").Bucket(bucket), f"{folder}/")

    def tidy(self, report: Report) -> None:
        """As `Cloud.tidy`: old versions of the functions."""
        try:
            with aws_errors("old versions of the functions"):
                self._remove_versions(report)
        except OnnxletError as error:
            report(f"versions not removed: {error}")

    def kept(self) -> list[Kept]:
        """As `Cloud.kept`."""
        return stack.read_kept(self.cloudformation, self._require_stack().id)

    def remove(self, report: Report) -> list[Kept]:
        """As `Cloud.remove`."""
        found = self._require_stack()
        self._stack = found
        kept = stack.read_kept(self.cloudformation, found.id)
        bucket, queues = self._input_bucket(), stack.find_resources(self.cloudformation, found.id, "AWS::SQS::Queue")
        stack.delete_stack(self.cloudformation, found, self.options.name)
        report(f'removed  stack "{self.options.name}"')
        self._silence(bucket, queues.get("Queue"), report)
        self._remove_uploads(report)
        return kept

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """As `Cloud.describe`."""
        name, region = self.options.name, self.region
        where = f"--region {region}"
        return [
            ("Call it", [f"curl {self._curl_options()}{outputs.http_url.rstrip('/')}/v2/models/{model}"]),
            (
                "Answer a file",
                [
                    f"aws s3 cp photo.png {outputs.input_url.rstrip('/')}/ {where}",
                    f"aws s3 ls --recursive {outputs.results_url} {where}",
                ],
            ),
            (
                "Another version, live without a redeploy; and back",
                [
                    f"AWS_REGION={region} onnxlet publish model.onnx --name {model} --registry {outputs.registry_url}",
                    f"AWS_REGION={region} onnxlet rollback {model} --registry {outputs.registry_url}",
                ],
            ),
            ("Remove it", [f"onnxlet destroy --stack {name} --region {region}"]),
        ]

    def document(self) -> dict[str, Any]:
        """As `Cloud.document`."""
        return {"cloud": "aws", "stack": self.options.name, "region": self.region, "auth": self._auth()}

    def _before(self, parameter: str, otherwise: Any) -> Any:
        """A parameter of what is deployed."""
        is_made = self._stack is not None and self._stack.is_made
        return self._stack.parameters.get(parameter, otherwise) if self._stack is not None and is_made else otherwise

    def _chosen(self, parameter: str, otherwise: Any) -> Any:
        """Return a parameter as `--set` names it, or as it is in what is deployed."""
        return self.options.others.get(parameter) or self._before(parameter, otherwise)

    def _values(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """All parameters as they will be: by default, as they are, as they must be, and as the user says."""
        defaults = {name: parameter.default for name, parameter in self.declared.items()}
        is_made = self._stack is not None and self._stack.is_made
        before = self._stack.parameters if self._stack is not None and is_made else {}
        return {**defaults, **before, **self._fitted, **chosen, **self.options.others}

    def _fit(self, values: Mapping[str, str]) -> str:
        """Fit the stack to the account's concurrency; gives what is to be said of that."""
        try:
            account = concurrency.read_account(self.session.client("lambda"))
        except (CredentialsError, StoreError) as error:
            return f"; its concurrency is unknown ({error})"
        held = int(self._before("ReservedConcurrency", "0"))
        self._fitted = concurrency.fit(concurrency.Demand.of(values), self.options.others, account, held)
        lowered = " and ".join(f"{name} {value}" for name, value in self._fitted.items())
        where = f"the account has {account.limit} environments at a time, {account.unreserved} of them not reserved"
        return f"; {lowered} in place of more, for {where}" if lowered else ""

    def _tags(self) -> dict[str, str]:
        """All of the stack's tags: those that it has, and those that are named."""
        return {**(self._stack.tags if self._stack is not None else {}), **self.options.tags}

    def _parameters(self, wanted: Wanted) -> dict[str, str]:
        target = self.target()
        prefetch = wanted.prefetch
        if prefetch is not None and len(prefetch) > parameters.MAX_PREFETCH:
            prefetch = ""  # a cold start is one request longer; a function without room for its variables is none
        chosen = {
            "ModelName": wanted.model,
            "Architecture": target.arch,
            "Runtime": f"python{target.python}",
            "Prefetch": prefetch,
            "UrlAuth": AUTHS[self.options.auth] if self.options.auth else None,
            "MemorySize": str(self.options.memory_mib) if self.options.memory_mib else None,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        revision = parameters.to_revision(self._values(given))
        return {**given, **self._fitted, "Revision": revision, **self.options.others}

    def _clear(self, report: Report) -> None:
        """Remove what is left of a stack that never was: it would refuse the next deployment."""
        found = stack.find_stack(self.cloudformation, self.options.name)
        if found is not None and not found.is_made and found.status != stack.IN_REVIEW:
            report(f'clear    stack "{self.options.name}" is {found.status}: what is left of it is removed')
            stack.delete_stack(self.cloudformation, found, self.options.name)

    def _why(self, done: Finished) -> str:
        """What went wrong with a deployment, and what to do."""
        found = stack.find_stack(self.cloudformation, self.options.name)
        cause = None if found is None else stack.why_failed(self.cloudformation, found.id)
        is_later = found is not None and "Failed to create/update the stack" not in done.text
        text = done.last_error() if cause is None or is_later else cause
        return f'stack "{self.options.name}" was not deployed: {text}; put that right, then run the same command again'

    def _to_deployed(self, found: Stack) -> Deployed:
        parameters = {**found.parameters, **self.options.others}
        model, variant = parameters.get("ModelName") or None, parameters.get("Variant") or None
        return Deployed(self._to_outputs(found), model, variant, parameters.get("PublicKeys", ""))

    def _to_outputs(self, found: Stack) -> Outputs:
        try:
            return Outputs(
                found.outputs["HttpUrl"],
                found.outputs["RegistryUrl"],
                found.outputs["InputUrl"],
                found.outputs["ResultsUrl"],
                dict(found.outputs),
            )
        except KeyError as error:
            raise StoreError(
                f'stack "{self.options.name}" is {found.status} and has no output {error}: it is not onnxlet\'s, '
                "or older than this checkout; take another --stack"
            ) from error

    def _require_stack(self) -> Stack:
        found = stack.find_stack(self.cloudformation, self.options.name)
        if found is None:
            raise StoreError(f'no stack "{self.options.name}" in {self.region}: nothing is deployed under this name')
        return found

    def _auth(self) -> str:
        return self._stack.parameters.get("UrlAuth", "AWS_IAM") if self._stack is not None else "AWS_IAM"

    def _signed(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with a signature, which Function URLs with `AWS_IAM` ask for."""
        with aws_errors("AWS"):
            credentials = self.session.get_credentials().get_frozen_credentials()
        service = "execute-api" if ".execute-api." in urlsplit(url).netloc else "lambda"
        return sigv4.signed(credentials, service, self.region, url, body, headers)

    def _api_key(self, outputs: Outputs) -> str:
        with aws_errors("API Gateway"):
            found = self.session.client("apigateway").get_api_key(apiKey=outputs.others["ApiKeyId"], includeValue=True)
        return str(found["value"])

    @property
    def _notification(self) -> str:
        """The name of the stack's notification among those of a bucket that exists already."""
        return f"onnxlet-{self.options.name}"

    def _input_bucket(self) -> str | None:
        """The bucket that objects are put into, as the stack is now."""
        url = self._stack.outputs.get("InputUrl") if self._stack is not None else None
        return urlsplit(url).netloc if url else None

    def _announce(self, found: Stack, before: str | None, report: Report) -> None:
        """Have the objects of an existing bucket announced, which no template can, and no more those of another."""
        bucket, existing = self._input_bucket(), found.parameters.get("InputBucket")
        if existing and buckets.announce(self.s3, existing, found.outputs["QueueArn"], self._notification):
            report(f"announce objects under s3://{existing}/{buckets.PREFIX} to the queue")
        if before is not None and before != bucket:
            queues = stack.find_resources(self.cloudformation, found.id, "AWS::SQS::Queue")
            self._silence(before, queues.get("Queue"), report)

    def _silence(self, bucket: str | None, queue: str | None, report: Report) -> None:
        """Take the queue out of a bucket's notifications; what fails is reported."""
        if bucket is None or queue is None:
            return
        try:
            if buckets.silence(self.s3, bucket, queue.rpartition("/")[2]):
                report(f"removed  the notification of s3://{bucket} to the stack's queue")
        except OnnxletError as error:
            report(f"announce s3://{bucket} still names the stack's queue: {error}")

    def _remove_versions(self, report: Report) -> None:
        found = self._require_stack()
        groups = stack.find_resources(self.cloudformation, found.id, "AWS::CodeDeploy::DeploymentGroup")
        applications = stack.find_resources(self.cloudformation, found.id, "AWS::CodeDeploy::Application")
        for application, group in product(applications.values(), groups.values()):
            if versions.is_shifting(self.session.client("codedeploy"), application, group):
                report("versions not removed: CodeDeploy still moves traffic from one to another")
                return
        client = self.session.client("lambda")
        functions = stack.find_resources(self.cloudformation, found.id, "AWS::Lambda::Function")
        removals = [versions.remove_old(client, name) for name in functions.values()]
        count = sum(len(removal.removed) for removal in removals)
        if count:
            report(f"removed  {count} old version{'' if count == 1 else 's'} of the functions")
        for failure in (line for removal in removals for line in removal.failures):
            report(f"versions not removed: {failure}")

    def _curl_options(self) -> str:
        """How curl is let in."""
        auth = self._auth()
        if auth == "AWS_IAM":
            return f"{sigv4.curl_options('lambda', self.region)} "
        return '-H "x-api-key: $KEY" ' if auth == "API_KEY" else ""

    def _remove_uploads(self, report: Report) -> None:
        """Delete the packages that SAM has uploaded for this stack; its own bucket is for all of its user's stacks."""
        managed = stack.find_stack(self.cloudformation, "aws-sam-cli-managed-default")
        bucket = None if managed is None else managed.outputs.get("SourceBucket")
        if bucket is None:
            return
        buckets.remove(self.session.resource("s3").Bucket(bucket), f"{self.options.name}/")
        report(f"removed  s3://{bucket}/{self.options.name}/, what was uploaded for it")


def unpack(package: Path, folder: Path) -> None:
    """Unpack a package for SAM, which zips it again; no file of an earlier one stays.

    Raises:
        SettingsError: the folder cannot be written.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written: {error.strerror}") from error
