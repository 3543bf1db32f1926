import hashlib

from onnxlet.contract import hashing


def test_the_hash_is_openssls_sha_256_to_which_more_can_be_added() -> None:
    digest = hashing.sha256(b"ab")
    digest.update(memoryview(b"c"))
    assert digest.hexdigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert type(digest) is type(hashlib.sha256())
    assert hashing.sha256().hexdigest() == hashlib.sha256().hexdigest()
