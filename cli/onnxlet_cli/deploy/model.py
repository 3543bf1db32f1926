"""The model that a deployment will serve: a file, a version of a local registry, or one that is deployed already."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from onnxlet.contract import expectation
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ModelNotFoundError
from onnxlet.record import to_dict
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


@dataclass(frozen=True)
class Source:
    """A model that a deployment can publish to its registry."""

    name: str
    text: str
    """The name and the origin of the model, for the user."""
    publication: str | None
    """The identity of the publication; None for a model that is in the deployment's registry already."""
    put: Callable[[Registry], Manifest]
    """Publishes the model to a registry and returns the version; a second time changes nothing."""
    copied: Manifest | None = None
    """The manifest of a version that is copied with its bytes; the graphs of a file are made when it is published."""
    sign: Sign | None = None
    takes_text: bool = False
    """Whether the functions need a tokenizer's library for it."""

    def publish(self, target: Registry) -> Published:
        """Publish the model to a registry.

        Raises:
            OnnxletError: the registry refuses it.
        """
        return Published(self.put(target).version, target.resolve(self.name))

    def to_be_live(self, target: Registry) -> Manifest | None:
        """Return the manifest that will be live after `publish`; None if only publishing can tell."""
        if self.publication is None or find_published(target, self.name, self.publication, self.sign):
            return target.resolve(self.name)
        return self.copied


def find_source(
    model: str | None,
    registry_url: str | None,
    list_deployed: Callable[[], list[str]],
    default: str | None,
    sign: Sign | None = None,
) -> Source:
    """Return the source of the model that the user means.

    Args:
        model: A name, the path of a file or a folder with `/` or `.onnx` in it, or `hf:ORG/NAME`; None for the default.
        registry_url: The URL of the user's registry; None for the default one.
        list_deployed: Returns the models with a live version in the deployment's own registry.
        default: The deployment's default model.
        sign: Signs what is published.

    Raises:
        UsageError: there is no such file or model, or no model at all.
        ModelError: the functions could not serve the file.
    """
    if model is not None and (model.endswith(".onnx") or "/" in model):
        return _from_file(model, sign)
    local = open_registry(registry_url)
    name = model or default or only_model(local) or DEMO_MODEL
    try:
        manifest = local.resolve(name)
    except ModelNotFoundError:
        if name in list_deployed():
            return Source(name, f"{name}, as it is deployed", None, lambda target: target.resolve(name))
        raise _no_model(model, local) from None
    text = f"{name}, version {manifest.version} of {local.store.url}"
    put = partial(copy_version, local, manifest, sign=sign)
    takes_text = manifest.artifact("tokenizer") is not None
    return Source(name, text, manifest.provenance.publication, put, manifest, sign, takes_text)


def takes_text(deployed: Registry) -> bool:
    """Return whether a live version in a deployment's registry takes texts, whichever model is deployed now."""
    for name in deployed.models():
        with suppress(ModelNotFoundError):  # a model may have no live version
            if deployed.resolve(name).artifact("tokenizer") is not None:
                return True
    return False


def _from_file(model: str, sign: Sign | None) -> Source:
    source, *others = find(model)
    if others:
        raise UsageError(f"--model {model}: expected one .onnx file, got {len(others) + 1}")
    candidate, _ = with_activation(read(source).candidate)
    check(candidate)
    publication = _publication(candidate)
    put = partial(publish, candidate=replace(candidate, publication=publication), sign=sign)
    text, takes_text = f"{candidate.name}, of {candidate.source}", candidate.tokenizer is not None
    return Source(candidate.name, text, publication, put, sign=sign, takes_text=takes_text)


def _publication(candidate: Candidate) -> str:
    """Return the same identity for the same model and declarations, however often they are deployed."""
    digest = hashlib.sha256(candidate.model.data)
    if candidate.task is not None or candidate.preprocess is not None:
        digest.update(candidate.tokenizer or b"")
        digest.update(json.dumps(to_dict([candidate.task, candidate.preprocess, candidate.classification])).encode())
    return digest.hexdigest()[:32]


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
