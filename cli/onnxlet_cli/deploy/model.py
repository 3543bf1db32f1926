"""The model that a deployment will serve: a file, a version of a local registry, or one that is deployed already."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from onnxlet.contract import expectation
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ModelNotFoundError
from onnxlet.registry.registry import Registry, Sign
from onnxlet_cli.assets import functions_folder
from onnxlet_cli.package import wheels
from onnxlet_cli.package.build import REQUIREMENTS
from onnxlet_cli.registry import only_model, open_registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import MachineError, UsageError
from onnxlet_publishing.gate import check, with_activation
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.publish import copy_version, find_published, publish

DEMO_MODEL = "digits"
"""The model that `make demo` makes, which is the default among several models of a local registry."""


@dataclass(frozen=True)
class Published:
    """A model in the deployment's registry."""

    version: int
    """The version that was published, now or before."""
    live: Manifest
    """The live version, which is another one if `live` has moved since."""


class Source(Protocol):
    """The source of a model."""

    @property
    def name(self) -> str:
        """The model's name."""

    def describe(self) -> str:
        """Return a line that says which model it is."""

    def publish(self, target: Registry) -> Published:
        """Publish the model to a registry; a second time changes nothing.

        Raises:
            OnnxletError: the registry refuses it.
        """

    def to_be_live(self, target: Registry) -> Manifest | None:
        """Return the manifest that will be live after `publish`; None if only publishing can tell."""


@dataclass(frozen=True)
class FileSource:
    """An ONNX file that has passed the publish gate."""

    candidate: Candidate
    sign: Sign | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.candidate.name

    def describe(self) -> str:
        """Return the name and the file."""
        return f"{self.name}, of {self.candidate.source}"

    def publish(self, target: Registry) -> Published:
        """Publish the file as a version, unless it is one already."""
        return Published(publish(target, self.candidate, sign=self.sign).version, target.resolve(self.name))

    def to_be_live(self, target: Registry) -> Manifest | None:
        """Return None for a new version: its graphs are made when it is published."""
        published = find_published(target, self.name, self.candidate.publication, self.sign)
        return None if published is None else target.resolve(self.name)


@dataclass(frozen=True)
class RegistrySource:
    """The live version of a model in the user's registry."""

    registry: Registry
    manifest: Manifest
    sign: Sign | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.model

    def describe(self) -> str:
        """Return the name, the version and the registry."""
        return f"{self.name}, version {self.manifest.version} of {self.registry.store.url}"

    def publish(self, target: Registry) -> Published:
        """Copy the version, unless it is there already."""
        copied = copy_version(self.registry, self.manifest, target, sign=self.sign)
        return Published(copied.version, target.resolve(self.name))

    def to_be_live(self, target: Registry) -> Manifest | None:
        """Return this manifest for a new version: a copy has the same bytes."""
        published = find_published(target, self.name, self.manifest.provenance.publication, self.sign)
        return self.manifest if published is None else target.resolve(self.name)


@dataclass(frozen=True)
class DeployedSource:
    """A model that is in the deployment's own registry already."""

    name: str

    def describe(self) -> str:
        """Return the name, and that nothing changes."""
        return f"{self.name}, as it is deployed"

    def publish(self, target: Registry) -> Published:
        """Return the live version; there is nothing to publish."""
        live = target.resolve(self.name)
        return Published(live.version, live)

    def to_be_live(self, target: Registry) -> Manifest | None:
        """Return the live version."""
        return target.resolve(self.name)


def find_source(
    model: str | None,
    registry_url: str | None,
    list_deployed: Callable[[], list[str]],
    default: str | None,
    sign: Sign | None = None,
) -> Source:
    """Return the source of the model that the user means.

    Args:
        model: A name or the path of an `.onnx` file; None for the default.
        registry_url: The URL of the user's registry; None for the default one.
        list_deployed: Returns the models with a live version in the deployment's own registry.
        default: The deployment's default model.
        sign: Signs what is published.

    Raises:
        UsageError: there is no such file or model, or no model at all.
        ModelError: the functions could not serve the file.
    """
    if model is not None and (model.endswith(".onnx") or "/" in model):
        return replace(_from_file(Path(model)), sign=sign)
    local = open_registry(registry_url)
    name = model or default or only_model(local) or DEMO_MODEL
    try:
        return RegistrySource(local, local.resolve(name), sign)
    except ModelNotFoundError:
        if name in list_deployed():
            return DeployedSource(name)
        raise _no_model(model, local) from None


def _from_file(path: Path) -> FileSource:
    source, *others = find(str(path))
    if others:
        raise UsageError(f"--model {path}: expected one .onnx file, got {len(others) + 1}")
    candidate, _ = with_activation(read(source).candidate)
    check(candidate)
    # The same file is the same publication, however often it is deployed.
    return FileSource(replace(candidate, publication=hashlib.sha256(candidate.model.data).hexdigest()[:32]))


def _no_model(model: str | None, local: Registry) -> UsageError:
    names = local.models()
    has = f"{local.store.url} has {', '.join(names)}" if names else f"{local.store.url} has no models"
    if model is not None:
        return UsageError(f"--model {model}: no live version of it; {has}")
    if names:
        return UsageError(f"--model: which one? {has}")
    return UsageError(f"no model to deploy: {has}; `make demo` trains one, or give --model FILE.onnx")


def expected(manifest: Manifest, variant: str | None) -> str:
    """Return `ONNXLET_PREFETCH` for functions that load a version."""
    return expectation.to_text(manifest, variant, deployed_runtime())


def deployed_runtime() -> str:
    """Return the version of ONNX Runtime in the package, which may differ from this machine's."""
    path = functions_folder() / REQUIREMENTS
    pins = {pin.name: pin.version for pin in wheels.read_pins(path)}
    if "onnxruntime" not in pins:
        raise MachineError(f"{path}: names no onnxruntime")
    return pins["onnxruntime"]
