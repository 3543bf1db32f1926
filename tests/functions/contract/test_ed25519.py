import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.ed25519 import L, P, parse_public_key, verify

VECTORS = {
    "empty": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "1 byte": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "2 bytes": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}
"""Of RFC 8032, section 7.1: public key, message, signature."""

SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",  # order 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # 2
    "0000000000000000000000000000000000000000000000000000000000000000",  # 4
    "0000000000000000000000000000000000000000000000000000000000000080",  # 4
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # 8
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",  # 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  # 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",  # 8
]

NO_POINT = [
    "",
    "00" * 31,
    "00" * 33,
    "02" + "00" * 31,  # y = 2 is on no point of the curve
    "01" + "00" * 30 + "80",  # x = 0 has no sign
    (P - 1 | 1 << 255).to_bytes(32, "little").hex(),
    *((P + y).to_bytes(32, "little").hex() for y in range(19)),  # not reduced
    "ff" * 32,
]


def by_openssl(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed(seed: bytes, message: bytes) -> tuple[bytes, bytes]:
    """A public key, and its signature."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.public_key().public_bytes_raw(), key.sign(message)


seeds = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_the_signatures_of_the_rfc_hold_and_of_no_other_message(vector: tuple[str, str, str]) -> None:
    key, message, signature = map(bytes.fromhex, vector)
    assert verify(key, signature, message)
    assert not verify(key, signature, message + b"\0")


@given(seeds, st.binary(max_size=300))
def test_what_openssl_signs_holds(seed: bytes, message: bytes) -> None:
    key, signature = signed(seed, message)
    assert verify(key, signature, message)


@given(seeds, st.binary(max_size=40), st.integers(0, 95), st.integers(0, 7))
def test_a_flipped_bit_of_a_key_or_a_signature_is_found_as_by_openssl(
    seed: bytes, message: bytes, byte: int, bit: int
) -> None:
    data = bytearray(b"".join(signed(seed, message)))
    data[byte] ^= 1 << bit
    key, signature = bytes(data[:32]), bytes(data[32:])
    assert verify(key, signature, message) is by_openssl(key, signature, message) is False


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=8))
def test_nothing_that_openssl_refuses_is_accepted(key: bytes, signature: bytes, message: bytes) -> None:
    assert verify(key, signature, message) <= by_openssl(key, signature, message)


@pytest.mark.parametrize("times", range(1, 16))
def test_a_signature_has_one_form(times: int) -> None:
    """S + L fits the equation as well as S."""
    key, signature = signed(b"s" * 32, b"m")
    scalar = int.from_bytes(signature[32:], "little") + times * L
    if scalar < 2**256:
        assert not verify(key, signature[:32] + scalar.to_bytes(32, "little"), b"m")


@pytest.mark.parametrize("length", [0, 32, 63, 65, 96])
def test_a_signature_has_one_length(length: int) -> None:
    key, signature = signed(b"s" * 32, b"m")
    assert not verify(key, (signature * 2)[:length], b"m")


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_key_that_signs_anything_is_refused(key: str) -> None:
    """With S = 0 and R = -k A some message fits, whoever sends it: OpenSSL says so."""
    public_key = bytes.fromhex(key)
    assert parse_public_key(public_key) is None
    fitting = [
        (bytes.fromhex(point) + bytes(32), bytes([number]))
        for point in SMALL_ORDER
        for number in range(32)
        if by_openssl(public_key, bytes.fromhex(point) + bytes(32), bytes([number]))
    ]
    assert fitting
    assert not any(verify(public_key, signature, message) for signature, message in fitting)


@pytest.mark.parametrize("data", NO_POINT)
def test_bytes_that_are_no_point_in_its_one_form_are_no_key(data: str) -> None:
    assert parse_public_key(bytes.fromhex(data)) is None
    assert not verify(bytes.fromhex(data), bytes(64), b"m")


@pytest.mark.parametrize("point", [*SMALL_ORDER, *NO_POINT[3:]])
def test_another_commitment_does_not_hold(point: str) -> None:
    key, signature = signed(b"s" * 32, b"m")
    assert not verify(key, bytes.fromhex(point) + signature[32:], b"m")


def test_scalars_at_their_ends_are_taken_as_by_openssl() -> None:
    key, signature = signed(b"s" * 32, b"m")
    for scalar in (0, 1, L - 1, L, L + 1, 2**252, 2**255 - 1, 2**256 - 1):
        changed = signature[:32] + scalar.to_bytes(32, "little")
        assert verify(key, changed, b"m") is by_openssl(key, changed, b"m") is False
