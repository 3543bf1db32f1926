"""Keys of publishers, as `openssl genpkey -algorithm ed25519` makes them."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from onnxlet.contract.signature import key_to_text
from onnxlet.registry.registry import Sign
from onnxlet_publishing.sign import load_sign


def private_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public_key(number: int) -> bytes:
    return private_key(number).public_key().public_bytes_raw()


def text(number: int) -> str:
    """A public key as `ONNXLET_PUBLIC_KEYS` takes it."""
    return key_to_text(public_key(number))


def write(folder: Path, number: int = 1) -> Path:
    """The file of a private key."""
    path = folder / f"key-{number}.pem"
    path.write_bytes(private_key(number).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def sign(folder: Path, number: int = 1) -> Sign:
    return load_sign(write(folder, number))
