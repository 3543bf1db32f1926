"""Digests and signatures that another implementation must come to: `vectors.json`, made as docs/registry.md says."""

import base64
import json
import shutil
import struct
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from onnxlet.contract import signature
from onnxlet.contract.alias import Alias
from onnxlet.contract.api_keys import Keys
from onnxlet.contract.canonical_json import canonical
from onnxlet.contract.document import DIGEST
from onnxlet.contract.manifest import Manifest
from tests.helpers import keys

FILE = Path(__file__).with_name("vectors.json")
VECTORS: dict[str, Any] = json.loads(FILE.read_text())
PARSERS: dict[str, Any] = {
    "a manifest that is not signed": Manifest.from_json,
    "a signed manifest": Manifest.from_json,
    "an alias with a canary": Alias.from_json,
    "the keys' document": Keys.from_json,
}


@pytest.mark.parametrize("vector", VECTORS["documents"], ids=lambda vector: vector["name"])
def test_a_document_has_the_digest_that_the_vectors_say(vector: dict[str, str]) -> None:
    content = json.loads(vector["stored"])
    assert content.pop(DIGEST) == vector["digest"]
    assert canonical(content).decode() == vector["canonical"]
    assert sha256(vector["canonical"].encode()).hexdigest() == vector["digest"]
    parse = PARSERS[vector["name"]]
    assert parse(vector["stored"].encode(), "document").to_json() == vector["stored"].encode()


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["name"])
def test_a_manifest_has_the_signature_that_the_vectors_say(vector: dict[str, str]) -> None:
    manifest = Manifest.from_json(vector["manifest"].encode(), "manifest")
    message = signature.message(manifest.to_document())
    assert sha256(message).hexdigest() == vector["message_sha256"]
    assert manifest.signature["value"] == vector["value"]
    key = signature.parse_public_key(vector["public_key"])
    signature.require(manifest, [key])

    Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(vector["value"]), message)


def test_numbers_are_written_as_the_vectors_say() -> None:
    for vector in VECTORS["numbers"]:
        (number,) = struct.unpack(">d", bytes.fromhex(vector["bits"]))
        assert canonical(number).decode() == vector["text"]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_another_language_comes_to_the_same_from_the_documentation_alone() -> None:
    command = ["node", str(FILE.with_suffix(".mjs")), str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    count = 3 * len(VECTORS["documents"]) + 4 * len(VECTORS["signatures"]) + len(VECTORS["numbers"])
    assert (done.stdout, done.stderr) == (f"{count} compared\n", "")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_another_language_finds_a_wrong_vector(tmp_path: Path) -> None:
    wrong = json.loads(FILE.read_text())
    wrong["documents"][0]["digest"] = "0" * 64
    (tmp_path / "vectors.json").write_text(json.dumps(wrong))
    command = ["node", str(FILE.with_suffix(".mjs")), str(tmp_path / "vectors.json")]
    assert "SHA-256: expected 0000" in subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def test_documents_and_signatures_of_schema_1_are_read_as_they_were_written() -> None:
    old = VECTORS["schema_1"]
    manifest = Manifest.from_json(old["manifest"].encode(), "manifest")
    signature.require(manifest, [keys.public_key(1)])
    alias = Alias.from_json(old["alias"].encode(), "alias")
    assert (alias.manifest, alias.previous_version()) == (manifest, 2)
    signature.require(alias.manifest, [keys.public_key(1)])
    signature.require(Alias.from_json(alias.to_json(), "alias").manifest, [keys.public_key(1)])
    (key,) = Keys.from_json(old["keys"].encode())
    assert (key.name, key.quota) == ("Ada's app", 100)
