import re

import pytest

from onnxlet.contract import expectation
from onnxlet.contract.artifact import ORT, Artifact
from onnxlet.contract.blob import MAX_BLOB_BYTES, Blob
from onnxlet.contract.expectation import MAX_BLOBS
from onnxlet.record import replace
from tests.helpers.manifests import MANIFEST

PORTABLE = Artifact.of("model", "fp32", b"portable", ORT, "1.31.1")
LAID_OUT = Artifact.of("model", "fp32", b"laid out", ORT, "1.31.1", "x86_64-nchwc8")
ZEROS = "0" * 64
GOLDEN = Artifact.of("golden", "fp32", b"{}", "json")
FORMS = replace(MANIFEST, artifacts=(*MANIFEST.artifacts, PORTABLE, LAID_OUT, GOLDEN))


def test_each_class_of_cpus_is_told_what_it_will_load() -> None:
    line = expectation.to_text(FORMS, None, "1.31.1")
    small = [artifact.blob for artifact in MANIFEST.artifacts if artifact.role != "model"]
    assert expectation.parse(line, "aarch64") == [PORTABLE.blob, *small]
    assert expectation.parse(line, "x86_64-nchwc8") == [LAID_OUT.blob, *small, GOLDEN.blob]


def test_a_tokenizer_is_expected_before_the_weights() -> None:
    tokenizer = Artifact.of("tokenizer", "fp32", b"{}", "json")
    line = expectation.to_text(replace(FORMS, artifacts=(*FORMS.artifacts, tokenizer)), None, "1.31.1")
    for cpu in ("aarch64", "x86_64-nchwc8"):
        assert expectation.parse(line, cpu)[0] == tokenizer.blob


def test_a_line_begins_with_a_name_of_all_of_it() -> None:
    line, other = (expectation.to_text(FORMS, None, version) for version in ("1.31.1", "1.30.0"))
    name, _, rest = line.partition("=;")
    assert re.fullmatch(r"[0-9a-f]{8}", name)
    assert rest.startswith("x86_64-nchwc8=")
    assert name != other.partition("=;")[0]


def test_a_variant_that_is_asked_for_is_told_of() -> None:
    int8 = Artifact.of("model", "int8", b"small")
    line = expectation.to_text(replace(MANIFEST, artifacts=(*MANIFEST.artifacts, int8)), "int8", "1.31.1")
    assert expectation.parse(line, "aarch64")[0] == int8.blob


def test_another_version_of_the_runtime_is_told_of_the_portable_graph() -> None:
    line = expectation.to_text(FORMS, None, "1.30.0")
    assert expectation.parse(line, "x86_64-nchwc8")[0] == MANIFEST.artifacts[0].blob


def test_a_line_for_other_cpus_alone_names_nothing() -> None:
    assert expectation.parse(f"x86_64-nchwc16={ZEROS}:1", "aarch64") == []


def test_a_line_fits_an_environment_variable() -> None:
    assert len(expectation.to_text(FORMS, None, "1.31.1")) < 1024


@pytest.mark.parametrize(
    "line",
    [
        "",
        "*",
        "*=x",
        "*=a:1",
        f"*={ZEROS}:0",
        f"*={ZEROS}:",
        f"*={ZEROS}:1:1",
        f"*={ZEROS}:+1",
        f"*={ZEROS}:1_0",
        f"*={ZEROS}:١",
        f"*={ZEROS}:{MAX_BLOB_BYTES + 1}",
        ",".join([f"*={ZEROS}:1"] * 2),
    ],
)
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"expected (cpu=sha256:size|SHA-256:size), got"):
        expectation.parse(line, "aarch64")


def test_more_blobs_than_any_model_has_are_refused() -> None:
    blob = Blob(ZEROS, MAX_BLOB_BYTES)
    most = "*=" + ",".join([f"{ZEROS}:{MAX_BLOB_BYTES}"] * MAX_BLOBS)
    assert expectation.parse(most, "aarch64") == [blob] * MAX_BLOBS
    with pytest.raises(ValueError, match="expected at most"):
        expectation.parse(f"{most},{ZEROS}:1", "aarch64")


def test_a_blob_is_what_a_store_is_asked_for() -> None:
    assert PORTABLE.blob == Blob(PORTABLE.sha256, len(b"portable"))
