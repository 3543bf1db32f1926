import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from onnxlet.contract import signature
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.publish import publish
from onnxlet_publishing.sign import load_sign
from tests.helpers import graphs, keys


def test_a_key_of_another_kind_or_under_a_password_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    forms = {
        "another kind": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "encrypted": keys.private_key(1).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
        ),
        "nothing": b"",
    }
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=rf"--sign .*{name}: expected an Ed25519 private key"):
            load_sign(tmp_path / name)


def test_what_openssl_generates_signs(tmp_path: Path) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "key.pem")], check=True)
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    publish(registry, graphs.digits_candidate(), sign=load_sign(tmp_path / "key.pem"))
    assert signature.is_valid(registry.resolve("digits"))


def test_an_attempt_that_goes_on_finds_its_own_signed_version_and_no_other(tmp_path: Path) -> None:
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    candidate = graphs.digits_candidate()
    versions = [publish(registry, candidate, sign=sign).version for sign in (None, keys.sign(tmp_path), None)]
    assert versions == [1, 2, 2]
    assert publish(registry, candidate, sign=keys.sign(tmp_path)).version == 2
    assert publish(registry, candidate, sign=keys.sign(tmp_path, 2)).version == 3
