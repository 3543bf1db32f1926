import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from onnxlet.contract import signature
from onnxlet.contract.alias import CANARY, Alias, Move
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import UntrustedModelError
from onnxlet.record import replace
from tests.helpers import keys
from tests.helpers.damage import resealed
from tests.helpers.manifests import MANIFEST

TRUSTED = (keys.public_key(1), keys.public_key(2))


def read(document: dict[str, Any]) -> Manifest:
    return Manifest.from_json(resealed(document), "manifest")


@pytest.fixture
def signed(tmp_path: Path) -> Manifest:
    return keys.sign(tmp_path)(MANIFEST)


@pytest.fixture
def document(signed: Manifest) -> dict[str, Any]:
    """Return what somebody changes: the digest keeps nobody from anything, as anybody can make a new one."""
    content: dict[str, Any] = orjson.loads(signed.to_json())
    del content["digest"]
    return content


@pytest.mark.parametrize("number", [1, 2])
def test_a_manifest_by_any_trusted_key_is_trusted(tmp_path: Path, number: int) -> None:
    manifest = keys.sign(tmp_path, number)(MANIFEST)
    for each in (manifest, read(orjson.loads(manifest.to_json()))):
        signature.require(each, TRUSTED)
        assert each.signature["public_key"] == keys.text(number)


def test_a_manifest_by_another_key_or_by_none_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(UntrustedModelError, match=r"digits version 3: expected a signature .*, got none"):
        signature.require(MANIFEST, TRUSTED)
    with pytest.raises(UntrustedModelError, match=f"got one by {keys.text(3)}"):
        signature.require(keys.sign(tmp_path, 3)(MANIFEST), TRUSTED)


def _set(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = to

    return change


CHANGES = {
    "model": _set("model", to="other"),
    "version": _set("version", to=4),
    "a label": _set("classification", "labels", 0, to="no"),
    "the activation": _set("classification", "activation", to="none"),
    "an artifact": _set("artifacts", 0, "sha256", to="cd" * 32),
    "an artifact's size": _set("artifacts", 0, "size_bytes", to=11),
    "a metric": _set("metrics", "accuracy", to=0.99),
    "no metrics": _set("metrics", to={}),
    "the preprocessing": _set("preprocess", "mean", to=[0.25]),
    "a shape": _set("inputs", 0, "shape", 1, to=29),
    "when": _set("provenance", "created_at", to="2027"),
    "a field that no reader knows": _set("newer", to=1),
    "such a field inside": _set("artifacts", 0, "newer", to=1),
    "a number as text": _set("provenance", "seed", to=8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_was_changed_after_it_was_signed_is_not_trusted(
    document: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    signature.require(read(document), TRUSTED)
    change(document)
    with pytest.raises(UntrustedModelError, match=r"its signature by .* is not of this manifest"):
        signature.require(read(document), TRUSTED)


@pytest.mark.parametrize(
    "field",
    [
        {"algorithm": "ed448"},
        {"value": ""},
        {"value": "?"},
        {"value": "AAAA"},
        {"value": "A" * 86 + "=="},
        {"public_key": keys.text(2)},
    ],
)
def test_another_signature_is_none(document: dict[str, Any], field: dict[str, str]) -> None:
    document["signature"] |= field
    with pytest.raises(UntrustedModelError, match="not of this manifest"):
        signature.require(read(document), TRUSTED)


def test_a_signature_has_one_text(document: dict[str, Any]) -> None:
    """The last character of base64 has bits that no byte has: another one there is another text of the same bytes."""
    value = document["signature"]["value"]
    others = [f"{value[:85]}{last}==" for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if last != value[85]]
    for other in (*others, value.rstrip("="), f"{value}\n", f" {value}"):
        document["signature"]["value"] = other
        assert not signature.is_valid(read(document))


def test_a_signature_is_also_of_what_this_reader_does_not_know_and_survives_its_way_into_an_alias(
    document: dict[str, Any],
) -> None:
    """As an onnxlet of tomorrow may have published it, and one of today promotes it."""
    newer: dict[str, Any] = {**copy.deepcopy(document), "newer": {"b": [1, 2.0], "a": None}, "signature": {}}
    newer["metrics"] = {"accuracy": 1}  # which a float would be written as 1.0
    value = keys.private_key(1).sign(signature.message(newer))
    newer["signature"] = signature.to_field(keys.public_key(1), value)
    manifest = read(newer)
    signature.require(manifest, TRUSTED)
    alias = Alias("live", manifest, (Move("promote", 3, "now", "id"),))
    alias = alias.shared(Move(CANARY, 3, "now", "id", 0.5), manifest)
    found = Alias.from_json(alias.to_json(), "alias")
    assert found.canary is not None
    for each in (found.manifest, found.canary.manifest):
        signature.require(each, TRUSTED)
        assert each.to_document() == newer


def test_a_changed_manifest_is_written_as_it_was_changed(document: dict[str, Any]) -> None:
    changed = replace(read(document), metrics={"accuracy": 0.5})
    assert changed.to_document()["metrics"] == {"accuracy": 0.5}
    assert not signature.is_valid(changed)


def test_what_is_signed_is_one_text_whatever_the_order_of_the_fields(document: dict[str, Any]) -> None:
    backwards = dict(reversed(document.items()))
    assert signature.message(backwards) == signature.message(document)
    assert signature.message(document).startswith(b'onnxlet manifest\n{"artifacts":[{')
    assert b'"signature"' not in signature.message(document)


@pytest.mark.parametrize("key", ["", "?", keys.text(1)[:-1], "A" * 43 + "=", f"{keys.text(1)}=", "A" * 44])
def test_what_is_no_public_key_is_named(key: str) -> None:
    with pytest.raises(ValueError, match="expected an Ed25519 public key, 32 bytes as base64"):
        signature.parse_public_key(key)


def test_a_public_key_is_what_openssl_prints(tmp_path: Path) -> None:
    import base64
    import subprocess

    key = keys.write(tmp_path)
    command = ["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"]
    der = subprocess.run(command, capture_output=True, check=True).stdout
    assert base64.b64encode(der[-32:]).decode() == keys.text(1)
    assert signature.parse_public_key(keys.text(1)) == keys.public_key(1)
