import orjson
import pytest

from onnxlet.contract.document import Document, to_json, to_sealed_json
from onnxlet.errors import ManifestError

CONTENT = {"schema": 1, "labels": ["cat", "dög"], "scale": 1 / 255, "inner": {"b": None, "a": 2**53}}


def read(data: bytes) -> Document:
    return Document.parse_sealed(data, "manifest", 1)


def test_a_sealed_document_gives_its_content_back() -> None:
    assert read(to_sealed_json(CONTENT)).content == CONTENT


def test_a_document_of_before_there_were_digests_is_read() -> None:
    assert read(to_json(CONTENT)).content == CONTENT


def test_a_document_that_was_written_anew_with_the_same_content_is_read() -> None:
    assert read(orjson.dumps(orjson.loads(to_sealed_json(CONTENT)))).content == CONTENT


def test_any_flipped_bit_is_found_or_changes_nothing() -> None:
    data = to_sealed_json(CONTENT)
    found = 0
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        try:
            content = read(bytes(flipped)).content
        except ManifestError:
            found += 1
        else:
            of_ours = {name: value for name, value in content.items() if name in CONTENT}
            assert of_ours == CONTENT
    assert found > 8 * len(data) * 0.75, "the others fall into spaces, or into the name of the digest"


@pytest.mark.parametrize("digest", ["0" * 64, "", 1, [], {"a": 1}])
def test_another_digest_is_refused(digest: object) -> None:
    with pytest.raises(ManifestError, match="manifest: expected content with the SHA-256"):
        read(orjson.dumps({**CONTENT, "digest": digest}))


def test_a_document_that_is_nested_too_deep_for_a_digest_is_refused() -> None:
    deep = b"[" * 500 + b"]" * 500
    data = to_sealed_json(CONTENT)[:-2] + b', "deep": ' + deep + b"}"
    with pytest.raises(ManifestError, match="got None"):
        read(data)


def test_an_unknown_schema_is_told_before_its_digest() -> None:
    with pytest.raises(ManifestError, match="another onnxlet may have written this"):
        read(orjson.dumps({**CONTENT, "schema": 2, "digest": "of another kind"}))
