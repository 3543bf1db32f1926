"""A deployment on GCP with the stand-in for Terraform."""

import json
from pathlib import Path

from onnxlet_cli.deploy.cloud import Deployed, Options, Release
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.deploy.process import silent

GCP = Path(__file__).parents[2] / "infra/gcp"


def gcp(root: Path, **options: str) -> Gcp:
    return Gcp(Options("shop", "europe-west1", "project-1", **options), root, pauses_s=(0, 0))  # type: ignore[arg-type]


def wanted(root: Path, prefetch: str | None = None) -> Release:
    return Release(root / "dist/onnxlet-gcp.zip", "digits", prefetch)


def deployed(cloud: Gcp) -> Deployed:
    cloud.check()
    cloud.find()
    return cloud.apply(wanted(cloud.root), silent)


def calls(root: Path) -> list[list[str]]:
    """What Terraform was asked."""
    return [json.loads(line) for line in (root / "calls.txt").read_text().splitlines()]


def last(root: Path, command: str) -> list[str]:
    """The last call of a command, with the earlier settings that it was given in a file as if they were named."""
    call = [call for call in calls(root) if call[0] == command][-1]
    (file,) = [each.partition("=")[2] for each in call if each.startswith("-var-file=")]
    return [*call, *(f"-var={name}={value}" for name, value in json.loads(Path(file).read_text()).items())]
