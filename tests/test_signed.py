"""Signed models through both clouds' real runtimes: only what a trusted publisher signed is answered for."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY, SHADOW
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs, keys
from tests.helpers.damage import resealed
from tests.test_clouds import PNG, Exchange, png, send, started


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """With version 1, which the trusted publisher has signed."""
    found = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    publish(found, graphs.digits_candidate(), sign=keys.sign(tmp_path))
    return found


@contextmanager
def serving(cloud: str, registry: Registry, folder: Path) -> Iterator[str]:
    """A function that trusts the keys 1 and 2 and looks at the alias before each answer; gives its URL."""
    environment = {
        "ONNXLET_REGISTRY": registry.store.url,
        "ONNXLET_MODEL": "digits",
        "ONNXLET_REFRESH_S": "0",
        "ONNXLET_PUBLIC_KEYS": f"{keys.text(1)}, {keys.text(2)}",
    }
    with (folder / "log").open("wb") as log, started(cloud, environment, log) as url:
        yield url


def ask(url: str, path: str) -> tuple[int, Any]:
    status, _, body = send(url, Exchange("GET", path, 200))
    return status, json.loads(body)


def answering(url: str) -> int:
    """The version that answers a request for the default model."""
    status, _, body = send(url, Exchange("POST", "/predict/digits", 200, png(), PNG))
    assert status == 200, body
    version: int = json.loads(body)["version"]
    return version


def refused(url: str, path: str) -> str:
    """The error of a model that is not trusted."""
    status, document = ask(url, path)
    assert (status, document["code"]) == (500, "untrusted_model"), document
    return str(document["error"])


def change(path: Path, *where: str | int, to: Any) -> None:
    """Change what the store holds, as somebody may who writes there."""
    document = target = json.loads(path.read_bytes())
    for step in where[:-1]:
        target = target[step]
    assert target[where[-1]] != to
    target[where[-1]] = to
    path.write_bytes(resealed(document))


@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_only_what_a_trusted_publisher_signed_is_answered_for(cloud: str, registry: Registry, tmp_path: Path) -> None:
    with serving(cloud, registry, tmp_path) as url:
        assert answering(url) == 1
        publish(registry, graphs.digits_candidate(1), sign=keys.sign(tmp_path, 2))
        assert answering(url) == 2, "another trusted publisher"
        publish(registry, graphs.digits_candidate(2))
        assert answering(url) == 2, "an unsigned version does not take over"
        problem = ask(url, "/v2/models/digits")[1]["problem"]
        assert problem == "digits version 3: expected a signature by a key of ONNXLET_PUBLIC_KEYS, got none"
        publish(registry, graphs.digits_candidate(3), sign=keys.sign(tmp_path, 3))
        assert answering(url) == 2
        assert "got one by" in refused(url, "/v2/models/digits/versions/4")
        assert "got none" in refused(url, "/v2/models/digits/versions/3")
        registry.rollback("digits")
        registry.rollback("digits")
        assert registry.rollback("digits").version == 1
        assert answering(url) == 1, "a rollback carries the signature"
        assert "problem" not in ask(url, "/v2/models/digits")[1]


@pytest.mark.parametrize("action", [CANARY, SHADOW])
def test_a_share_that_is_not_signed_gets_nothing_and_stops_nothing(
    action: str, registry: Registry, tmp_path: Path
) -> None:
    unsigned = publish(registry, graphs.digits_candidate(1), alias=None).version
    registry.share("digits", unsigned, action, 1)
    with serving("gcp", registry, tmp_path) as url:
        assert answering(url) == 1
        assert "version 2: expected a signature" in ask(url, "/v2/models/digits")[1]["problem"]


TAMPERED: dict[str, Callable[[Path], None]] = {
    "a label": lambda path: change(path, "manifest", "classification", "labels", 0, to="wrong"),
    "an artifact": lambda path: change(path, "manifest", "artifacts", 0, "sha256", to="ab" * 32),
    "the metrics": lambda path: change(path, "manifest", "metrics", to={"accuracy": 1.0}),
    "the provenance": lambda path: change(path, "manifest", "provenance", "publication", to="other"),
    "the signature": lambda path: change(path, "manifest", "signature", to={}),
    "the publisher": lambda path: change(path, "manifest", "signature", "public_key", to=keys.text(2)),
}


def test_a_manifest_that_was_changed_in_the_store_is_not_followed(registry: Registry, tmp_path: Path) -> None:
    """By one function, which asks for each change as for a model of its own."""
    for number in range(len(TAMPERED)):
        publish(registry, graphs.digits_candidate(name=f"digits-{number}"), sign=keys.sign(tmp_path))
    with serving("gcp", registry, tmp_path) as url:
        for number, tamper in enumerate(TAMPERED.values()):
            tamper(tmp_path / "registry" / layout.alias_key(f"digits-{number}", layout.LIVE))
            assert f"digits-{number} version 1" in refused(url, f"/v2/models/digits-{number}")
        assert answering(url) == 1


def test_a_signature_is_of_its_model_and_its_version(registry: Registry, tmp_path: Path) -> None:
    """A signed manifest under another number or another name is not what was signed."""
    root = tmp_path / "registry"
    signed = json.loads((root / layout.version_key("digits", 1)).read_bytes())
    registry.store.put_if_absent(layout.version_key("digits", 2), resealed({**signed, "version": 2}))
    registry.store.put_if_absent(layout.version_key("other", 1), resealed({**signed, "model": "other"}))
    with serving("gcp", registry, tmp_path) as url:
        assert "not of this manifest" in refused(url, "/v2/models/digits/versions/2")
        assert "not of this manifest" in refused(url, "/v2/models/other/versions/1")
