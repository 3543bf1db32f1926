"""Signing of manifests with a publisher's Ed25519 key."""

from pathlib import Path

from onnxlet.contract import signature
from onnxlet.contract.manifest import Manifest
from onnxlet.record import replace
from onnxlet.registry.registry import Sign
from onnxlet_publishing.errors import UsageError


def load_sign(path: Path) -> Sign:
    """Return a function that signs manifests with the private key in a file.

    Args:
        path: A key in PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it.

    Raises:
        UsageError: The file cannot be read, or does not hold an unencrypted Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # imported here because few publications are signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"--sign {path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # a TypeError means that the key is encrypted
        raise UsageError(
            f"--sign {path}: expected an Ed25519 private key in PEM without a password: {error}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"--sign {path}: expected an Ed25519 private key, got another kind of key")
    public_key = key.public_key().public_bytes_raw()

    def sign(manifest: Manifest) -> Manifest:
        value = key.sign(signature.message(manifest.to_document()))
        return replace(manifest, signature=signature.to_field(public_key, value))

    return sign
