import hashlib
from typing import Any

import pytest

from onnxlet.contract.artifact import JSON, ORT, Artifact, Part, parse_artifact
from onnxlet.contract.blob import MAX_RANGES, MIN_RANGE_BYTES, Runtime
from onnxlet.contract.document import Document
from onnxlet.errors import ManifestError
from onnxlet.record import replace, to_dict

LARGE = Artifact.of("model", "fp32", bytes(2 * MIN_RANGE_BYTES + 1), ORT, "1.31.1")


def parse(**changes: object) -> Artifact:
    content: dict[str, Any] = {**to_dict(LARGE), **changes}
    return parse_artifact(Document(content, "artifact"))


def test_what_was_written_is_read_again() -> None:
    assert parse() == LARGE


def test_one_of_before_there_were_formats_and_parts_is_read() -> None:
    content = {"role": "model", "variant": "fp32", "sha256": LARGE.sha256, "size_bytes": LARGE.size_bytes}
    assert parse_artifact(Document(content, "artifact")) == Artifact("model", "fp32", LARGE.sha256, LARGE.size_bytes)


def test_a_small_one_is_one_part_that_is_the_whole() -> None:
    sha256 = hashlib.sha256(b"abc").hexdigest()
    small = Artifact.of("golden", "int8", b"abc", JSON, "1.31.1", "x86_64")
    assert small == Artifact("golden", "int8", sha256, 3, JSON, "1.31.1", "x86_64", ())
    assert list(small.parts()) == [Part(0, 3, sha256)]


def test_a_large_one_without_digests_of_its_parts_is_one_part() -> None:
    assert list(replace(LARGE, part_digests=()).parts()) == [Part(0, LARGE.size_bytes, LARGE.sha256)]


@pytest.mark.parametrize(
    ("size_bytes", "count"),
    [(1, 1), (MIN_RANGE_BYTES, 1), (MIN_RANGE_BYTES + 1, 2), (40 * MIN_RANGE_BYTES + 7, MAX_RANGES)],
)
def test_the_parts_are_the_whole_without_gap_or_overlap(size_bytes: int, count: int) -> None:
    data = bytes(index % 251 for index in range(1000)) * (size_bytes // 1000 + 1)
    data = data[:size_bytes]
    parts = list(Artifact.of("model", "fp32", data).parts())
    assert len(parts) == count
    is_whole = b"".join(data[part.start : part.stop] for part in parts) == data
    assert is_whole  # apart, for pytest would show where 40 MB differ
    assert all(hashlib.sha256(data[part.start : part.stop]).hexdigest() == part.sha256 for part in parts)
    assert len({part.stop - part.start for part in parts[:-1]}) <= 1


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("part_digests", ["ab" * 32], "64 hexadecimal digits for each of 3 parts"),
        ("part_digests", ["ab" * 32] * 4, "64 hexadecimal digits for each of 3 parts"),
        ("part_digests", ["no digest"] * 3, "64 hexadecimal digits for each of 3 parts"),
        ("part_digests", 3, "a list of strings"),
        ("format", "pickle", "one of onnx, ort, json"),
        ("runtime", 1.31, "a string"),
        ("cpu", ["x86_64"], "a string"),
    ],
)
def test_anything_malformed_is_refused_with_its_field(field: str, value: object, expected: str) -> None:
    with pytest.raises(ManifestError, match=rf"artifact\.{field}: expected {expected}"):
        parse(**{field: value})


def test_only_the_version_and_the_cpus_that_it_was_made_for_load_it() -> None:
    here = Runtime("1.31.1", "x86_64-nchwc8")
    portable, laid_out = LARGE, replace(LARGE, cpu=here.cpu)
    assert portable.fits(here)
    assert laid_out.fits(here)
    assert not portable.fits(None)
    assert not portable.fits(replace(here, version="1.31.0"))
    assert not laid_out.fits(replace(here, cpu="x86_64-nchwc16"))
    assert replace(LARGE, format="onnx", runtime=None).fits(None)
