"""Deploying: check, package, publish, apply and test, in this order."""

from collections.abc import Callable
from dataclasses import dataclass

from onnxlet.contract.manifest import Manifest
from onnxlet.registry.registry import Sign
from onnxlet_cli.assets import deployment_folder
from onnxlet_cli.cost.monthly import Estimate, estimate
from onnxlet_cli.deploy import model, objects, smoke
from onnxlet_cli.deploy.cloud import Change, Cloud, Deployed, NotCalled, Options, Outputs, Release
from onnxlet_cli.deploy.model import Published, Source
from onnxlet_cli.deploy.objects import ObjectAnswer
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.deploy.smoke import Answer
from onnxlet_cli.package.build import Options as PackageOptions
from onnxlet_cli.package.build import Package, build
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import UsageError

CLOUDS = ("aws", "gcp")

PLATFORMS = {"aws": "lambda", "gcp": "cloud-run"}
"""The platform of each cloud's functions, as `estimate` names it."""

Build = Callable[[Target, tuple[str, ...], Report], Package]
"""A function that makes the package for a target, and proves it if that is possible."""


@dataclass(frozen=True)
class Choice:
    """The user's choice of a model."""

    model: str | None = None
    """A name, or the path of an `.onnx` file."""
    registry: str | None = None
    """The URL of the registry that the model is copied from."""
    sign: Sign | None = None
    """Signs the model in the deployment's registry."""


@dataclass(frozen=True)
class Deployment:
    """The outcome of a deployment."""

    outputs: Outputs
    package: Package
    published: Published
    answer: Answer | NotCalled
    object_answer: ObjectAnswer | None
    """The result of the smoke object; None if no function answers objects."""


@dataclass(frozen=True)
class Plan:
    """The outcome of a plan."""

    changes: list[Change]
    package: Package
    source: Source
    is_new: bool
    requests_per_month: int
    bill: Estimate
    """The monthly cost of the HTTP function with these requests, and of the extras that the deployment turns on."""


def deploy(cloud: Cloud, choice: Choice, report: Report, build_package: Build | None = None) -> Deployment:
    """Deploy, or update a deployment; if it is up to date already, change nothing.

    The model is published before the functions get its expected artifacts (`ONNXLET_PREFETCH`). One deployment is
    enough if the registry exists already; otherwise a first one makes it, and a second one changes one parameter.

    Raises:
        CommandError, OnnxletError: a check failed and nothing was deployed, or a later step failed; the text says
            what to do.
    """
    found, source, package = _prepare(cloud, choice, report, build_package)
    deployed = found or cloud.apply(Release(package.path, source.name, None), report)
    registry = cloud.open_registry(deployed.outputs.registry_url)
    published = source.publish(registry)
    report(f"publish  {published.live.model} version {published.live.version} is live in {registry.store.url}")
    prefetch = model.expected(published.live, deployed.variant)
    deployed = cloud.apply(Release(package.path, source.name, prefetch), report)
    answer = smoke.ask(cloud, deployed.outputs, registry, published.live)
    report(f"ask      {_verdict(answer)}")
    found_object = objects.ask(cloud, deployed.outputs, registry, published.live, report)
    report(f"object   {_object_verdict(found_object, published.live)}")
    cloud.tidy(report)
    return Deployment(deployed.outputs, package, published, answer, found_object)


def plan(
    cloud: Cloud,
    choice: Choice,
    report: Report,
    build_package: Build | None = None,
    *,
    requests_per_month: int,
    milliseconds: float,
) -> Plan:
    """Return what `deploy` would do; change nothing, but upload the package if the cloud needs it for a plan.

    A warm request is expected to take the milliseconds on one full CPU; `onnxlet bench warm` measures it.

    Raises:
        CommandError, OnnxletError: a check failed, or the cloud refuses.
    """
    found, source, package = _prepare(cloud, choice, report, build_package)
    live = None if found is None else source.to_be_live(cloud.open_registry(found.outputs.registry_url))
    prefetch = None if found is None or live is None else model.expected(live, found.variant)
    changes = cloud.plan(Release(package.path, source.name, prefetch), report)
    target = cloud.target()
    bill = estimate(
        requests_per_month,
        milliseconds=milliseconds,
        memory_mib=cloud.memory_mib(),
        architecture=target.arch,
        platform=PLATFORMS[target.cloud],
        extras=cloud.extras(),
    )
    return Plan(changes, package, source, found is None, requests_per_month, bill)


def find_cloud(name: str, options: Options) -> Cloud:
    """Return the cloud of a name.

    Raises:
        UsageError: there is no such cloud, or it does not have an option.
    """
    if name not in CLOUDS:
        raise UsageError(f"--cloud {name}: expected {' or '.join(CLOUDS)}")
    if name == "aws" and options.state is not None:
        raise UsageError("--state: AWS keeps the state of a stack itself; the option is for --cloud gcp")
    if name == "aws":
        from onnxlet_cli.deploy.aws.cloud import Aws  # boto3 takes longer to import than most commands

        return Aws(options)
    from onnxlet_cli.deploy.gcp.cloud import Gcp

    return Gcp(options)


def _prepare(
    cloud: Cloud, choice: Choice, report: Report, build_package: Build | None
) -> tuple[Deployed | None, Source, Package]:
    """Check the cloud, find the model and make the package: all that can fail before anything is deployed."""
    report(f"check    {cloud.check()}")
    found = cloud.find()
    target = cloud.target()

    def list_deployed() -> list[str]:
        return [] if found is None else cloud.open_registry(found.outputs.registry_url).models()

    default = found.model if found else None
    source = model.find_source(choice.model, choice.registry, list_deployed, default, choice.sign)
    report(f"model    {source.text}")
    registry = None if found is None else cloud.open_registry(found.outputs.registry_url)
    extras = ("text",) if source.takes_text or (registry and model.takes_text(registry)) else ()
    return found, source, (build_package or _build)(target, extras, report)


def _build(target: Target, extras: tuple[str, ...], report: Report) -> Package:
    """Make the package as `onnxlet package` does."""
    return build(PackageOptions(target, deployment_folder() / "dist", extras=extras), report)


def _verdict(answer: Answer | NotCalled) -> str:
    if isinstance(answer, NotCalled):
        return f"no request sent: {answer.reason}"
    what = "it gives the golden answer" if answer.is_golden else "the model is ready"
    if answer.random:
        what += f", {', '.join(answer.random)} not compared, since the model draws random numbers"
    return f"{what} ({answer.milliseconds:.0f} ms with the first connection)"


def _object_verdict(answer: ObjectAnswer | None, live: Manifest) -> str:
    if answer is None:
        return "no object sent: no function answers objects here"
    if answer.is_golden:
        what = "its result is the golden answer"
    elif answer.version != live.version:
        what = f"it has a result of version {answer.version}, not compared: version {live.version} is live"
    else:
        what = "it has a result, not compared: the version has no golden example that an object can carry"
    return f"{what} ({answer.seconds:.1f} s)"
