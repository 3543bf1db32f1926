"""The model that a deployment shall serve: a file, a version of a local registry, or what is there already."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from onnxlet.contract import expectation
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InvalidRequestError, ModelNotFoundError, OnnxletError, SettingsError
from onnxlet.registry.registry import Registry, Sign
from onnxlet_cli import output
from onnxlet_cli.assets import functions_folder
from onnxlet_cli.package import wheels
from onnxlet_cli.package.build import REQUIREMENTS
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.gate import check, with_activation
from onnxlet_publishing.importers.plain import find_files, read_candidate
from onnxlet_publishing.publish import copy_version, find_published, publish

DEMO_MODEL = "digits"
"""Of several models in a local registry, the one that `make demo` has made."""


@dataclass(frozen=True)
class Published:
    """A model in the deployment's registry."""

    version: int
    """What was published, now or before."""
    live: Manifest
    """What is live, which is another version where live has moved since."""


class Source(Protocol):
    """Where a model comes from."""

    @property
    def name(self) -> str:
        """The model's name."""

    def describe(self) -> str:
        """A line that says which model it is."""

    def publish(self, target: Registry) -> Published:
        """See that the model is in a registry; a second time changes nothing.

        Raises:
            OnnxletError: it cannot be stored.
        """

    def to_be_live(self, target: Registry) -> Manifest | None:
        """What will be live after `publish`; None where only that will tell."""


@dataclass(frozen=True)
class File:
    """An ONNX file, which has passed the gate."""

    candidate: Candidate
    sign: Sign | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.candidate.name

    def describe(self) -> str:
        """As `Source.describe`."""
        return f"{self.name}, of {self.candidate.source}"

    def publish(self, target: Registry) -> Published:
        """As `Source.publish`: the file becomes a version, unless it is one."""
        return Published(publish(target, self.candidate, sign=self.sign).version, target.resolve(self.name))

    def to_be_live(self, target: Registry) -> Manifest | None:
        """As `Source.to_be_live`: a new version's graphs are made when it is published."""
        published = find_published(target, self.name, self.candidate.publication, self.sign)
        return None if published is None else target.resolve(self.name)


@dataclass(frozen=True)
class Local:
    """The live version of a registry on this machine, or anywhere else."""

    registry: Registry
    manifest: Manifest
    sign: Sign | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.model

    def describe(self) -> str:
        """As `Source.describe`."""
        return f"{self.name}, version {self.manifest.version} of {self.registry.store.url}"

    def publish(self, target: Registry) -> Published:
        """As `Source.publish`: the version is copied, unless it is there."""
        copied = copy_version(self.registry, self.manifest, target, sign=self.sign)
        return Published(copied.version, target.resolve(self.name))

    def to_be_live(self, target: Registry) -> Manifest | None:
        """As `Source.to_be_live`: a copy has the same bytes."""
        published = find_published(target, self.name, self.manifest.provenance.publication, self.sign)
        return self.manifest if published is None else target.resolve(self.name)


@dataclass(frozen=True)
class There:
    """What the deployment's own registry has."""

    name: str

    def describe(self) -> str:
        """As `Source.describe`."""
        return f"{self.name}, as it is in what is deployed"

    def publish(self, target: Registry) -> Published:
        """As `Source.publish`: nothing is to be done."""
        live = target.resolve(self.name)
        return Published(live.version, live)

    def to_be_live(self, target: Registry) -> Manifest | None:
        """As `Source.to_be_live`."""
        return target.resolve(self.name)


def find_source(
    wanted: str | None,
    registry_url: str | None,
    there: Callable[[], list[str]],
    default: str | None,
    sign: Sign | None = None,
) -> Source:
    """The model that the user means.

    Args:
        wanted: A name or the path of an `.onnx` file; None for the default.
        registry_url: Of the local registry; None for the default one.
        there: Gives the models that the deployment's own registry has a live version of.
        default: The deployment's own default model.
        sign: Signs what is published.

    Raises:
        InvalidRequestError: no such file.
        ArtifactError: a file that the functions could not serve.
        ModelNotFoundError: there is no such model, or none at all.
    """
    if wanted is not None and (wanted.endswith(".onnx") or "/" in wanted):
        return replace(_from_file(Path(wanted)), sign=sign)
    local = open_registry(registry_url)
    name = wanted or default or output.only_model(local) or DEMO_MODEL
    try:
        return Local(local, local.resolve(name), sign)
    except ModelNotFoundError:
        if name in there():
            return There(name)
        raise _no_model(wanted, local) from None


def _from_file(path: Path) -> File:
    file, *others = find_files(path, None)
    if others:
        raise InvalidRequestError(f"--model {path}: expected one .onnx file, found {len(others) + 1}")
    candidate, _ = with_activation(read_candidate(file))
    check(candidate)
    # The same file is the same publication, however often it is deployed.
    return File(replace(candidate, publication=hashlib.sha256(candidate.model.data).hexdigest()[:32]))


def _no_model(wanted: str | None, local: Registry) -> OnnxletError:
    names = local.models()
    has = f"{local.store.url} has {', '.join(names)}" if names else f"{local.store.url} has none"
    if wanted is not None:
        return ModelNotFoundError(f"--model {wanted}: no live version of it; {has}")
    if names:
        return ModelNotFoundError(f"--model: which one? {has}")
    return ModelNotFoundError(f"no model to deploy: {has}; `make demo` trains one, or give --model FILE.onnx")


def expected(manifest: Manifest, variant: str | None) -> str:
    """What functions that load a version should be told: `ONNXLET_PREFETCH`."""
    return expectation.to_text(manifest, variant, deployed_runtime())


def deployed_runtime() -> str:
    """The version of ONNX Runtime in the package, which need not be this machine's."""
    path = functions_folder() / REQUIREMENTS
    pins = {pin.name: pin.version for pin in wheels.read_pins(path)}
    if "onnxruntime" not in pins:
        raise SettingsError(f"{path}: names no onnxruntime")
    return pins["onnxruntime"]
