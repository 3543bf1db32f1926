"""AWS: the template, deployed by AWS SAM's command as one stack of CloudFormation."""

import os
import shutil
import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from cli import signature
from cli.cost.offers import Extras
from cli.deploy import sam, stack
from cli.deploy.cloud import ROOT, Change, Deployed, Kept, Options, Outputs, Reply, Wanted
from cli.deploy.http import send
from cli.deploy.process import Finished, Report
from cli.deploy.sam import Sam
from cli.deploy.stack import Stack, aws_errors
from cli.package.target import DEFAULT_PYTHON, Target, parse_target
from cli.registry import open_s3, to_registry
from onnxlet import places
from onnxlet.errors import CredentialsError, InvalidRequestError, SettingsError, StoreError
from onnxlet.registry import Registry

AUTHS = {"iam": "AWS_IAM", "none": "NONE", "api-key": "API_KEY"}
"""Who may call: whoever AWS's own permissions let in, anybody, or who knows a key; with the template's names."""

QUEUES, ALARMS = 1, 10
"""How many queues of the template Lambda polls, and how many alarms the template has: both are billed while idle."""

FILE_MODE = 0o644
FOLDER_MODE = 0o755
"""Lambda runs functions as a user of its own, who must be able to read them whatever this machine's umask is."""


class Aws:
    """A stack in one region of one account."""

    def __init__(self, options: Options, root: Path = ROOT) -> None:
        """Take what the user said, and the checkout; nothing is looked at yet.

        Raises:
            InvalidRequestError: an option that AWS does not have.
        """
        if options.project is not None:
            raise InvalidRequestError("--project: AWS has none; it is for --cloud gcp")
        if options.auth is not None and options.auth not in AUTHS:
            raise InvalidRequestError(f"--auth {options.auth}: expected one of {', '.join(AUTHS)}")
        self.options = options
        self.root = root
        self._account = ""
        self._stack: Stack | None = None

    @cached_property
    def session(self) -> Any:
        """The credentials and the region.

        Raises:
            SettingsError: no region.
            CredentialsError: a profile that does not exist.
        """
        region = self.options.region or os.environ.get("AWS_REGION") or None  # boto3 reads AWS_DEFAULT_REGION alone
        with aws_errors("AWS"):
            session = boto3.Session(region_name=region)
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
        return Sam(sam.find_sam(self.root), self.root, self.options.name, self.region)

    def check(self) -> str:
        """As `Cloud.check`."""
        sam.require_template(self.root)
        line = self.check_account()
        return f"{line}, by {self.sam.executable}"

    def check_account(self) -> str:
        """Look whether there is a region, and an account that knows us."""
        region = self.region
        if self.session.get_credentials() is None:
            raise CredentialsError("no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE")
        with aws_errors(f"the region {region}"):
            self._account = self.session.client("sts").get_caller_identity()["Account"]
        return f'stack "{self.options.name}" in {region}, account {self._account}'

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
        return self._to_deployed(found)

    def target(self) -> Target:
        """As `Cloud.target`: what was not said stays as it is."""
        arch = self.options.arch or self._before("Architecture", None)
        python = self.options.python or self._before("Runtime", DEFAULT_PYTHON).removeprefix("python")
        return parse_target("aws", arch, python)

    def memory_mib(self) -> int:
        """As `Cloud.memory_mib`."""
        return int(self.options.others.get("MemorySize") or self.options.memory_mib or self._before("MemorySize", 1769))

    def extras(self) -> Extras:
        """As `Cloud.extras`."""

        def chosen(name: str) -> str:
            return self.options.others.get(name) or str(self._before(name, ""))

        auth = AUTHS[self.options.auth] if self.options.auth else chosen("UrlAuth")
        return Extras(
            provisioned=int(chosen("ProvisionedConcurrency") or 0),
            has_snapshots=chosen("SnapStart") == "true",
            has_api=auth == "API_KEY",
            queues=QUEUES,
            alarms=ALARMS,
            dashboards=1,
        )

    def plan(self, wanted: Wanted, report: Report) -> list[Change]:
        """As `Cloud.plan`: a change set that is not executed, and deleted again."""
        unpack(wanted.package, self.sam.code)
        done = self.sam.deploy(self._parameters(wanted), report, is_executed=False)
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
        done = self.sam.deploy(self._parameters(wanted), report)
        if not done.is_ok:
            raise StoreError(self._why(done))
        self._stack = found = stack.find_stack(self.cloudformation, self.options.name)
        if found is None:
            raise StoreError(f'stack "{self.options.name}" is not there after its deployment: {done.last_error()}')
        report(f"deploy   {'nothing has changed' if sam.NO_CHANGE in done.text else found.status}")
        return self._to_deployed(found)

    def open_registry(self, url: str) -> Registry:
        """As `Cloud.open_registry`."""
        return to_registry(open_s3(url, self.region))

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply | None:
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
        _, bucket, folder = places.split(url)
        with aws_errors(url):
            self.session.resource("s3").Bucket(bucket).object_versions.filter(Prefix=f"{folder}/").delete()

    def kept(self) -> list[Kept]:
        """As `Cloud.kept`."""
        return stack.read_kept(self.cloudformation, self._require_stack().id)

    def remove(self, report: Report) -> list[Kept]:
        """As `Cloud.remove`."""
        found = self._require_stack()
        kept = stack.read_kept(self.cloudformation, found.id)
        stack.delete_stack(self.cloudformation, found, self.options.name)
        report(f'removed  stack "{self.options.name}"')
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

    def _parameters(self, wanted: Wanted) -> dict[str, str]:
        target = self.target()
        chosen = {
            "ModelName": wanted.model,
            "Architecture": target.arch,
            "Runtime": f"python{target.python}",
            "Prefetch": wanted.prefetch,
            "UrlAuth": AUTHS[self.options.auth] if self.options.auth else None,
            "MemorySize": str(self.options.memory_mib) if self.options.memory_mib else None,
        }
        return {**{name: value for name, value in chosen.items() if value is not None}, **self.options.others}

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
        return signature.signed(credentials, service, self.region, url, body, headers)

    def _api_key(self, outputs: Outputs) -> str:
        with aws_errors("API Gateway"):
            found = self.session.client("apigateway").get_api_key(apiKey=outputs.others["ApiKeyId"], includeValue=True)
        return str(found["value"])

    def _curl_options(self) -> str:
        """How curl is let in."""
        auth = self._auth()
        if auth == "AWS_IAM":
            return f"{signature.curl_options('lambda', self.region)} "
        return '-H "x-api-key: $KEY" ' if auth == "API_KEY" else ""

    def _remove_uploads(self, report: Report) -> None:
        """Delete the packages that SAM has uploaded for this stack; its own bucket is for all of its user's stacks."""
        managed = stack.find_stack(self.cloudformation, "aws-sam-cli-managed-default")
        bucket = None if managed is None else managed.outputs.get("SourceBucket")
        if bucket is None:
            return
        with aws_errors(f"s3://{bucket}"):
            versions = self.session.resource("s3").Bucket(bucket).object_versions
            versions.filter(Prefix=f"{self.options.name}/").delete()
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
