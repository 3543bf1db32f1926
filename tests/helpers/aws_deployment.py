"""A stack that is deployed by the stand-in for SAM's command."""

from pathlib import Path

from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.cloud import Deployed, Options, Release
from onnxlet_cli.deploy.process import silent

REGION = "eu-central-1"


def aws(root: Path, name: str, **options: str) -> Aws:
    return Aws(Options(name=name, region=REGION, **options), root)  # type: ignore[arg-type]


def deployed(cloud: Aws, package: Path, prefetch: str | None = None) -> Deployed:
    cloud.find()
    return cloud.apply(Release(package, "digits", prefetch), silent)
