import pytest

from onnxlet_cli.doctor.libraries import examine_machines, is_library, machine_of, parse_version

ARM, X86 = 183, 62


def header(machine: int) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + machine.to_bytes(2, "little") + bytes(44)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/b.so", True), ("libonnxruntime.so.1.26.0", True), ("a.pyd", True), ("a.py", False), ("a.so/b.txt", False)],
)
def test_libraries_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_library(name) == expected


def test_the_processor_stands_in_the_header() -> None:
    assert [machine_of(header(ARM)), machine_of(header(X86))] == ["aarch64", "x86_64"]
    assert machine_of(b"<html>") is None
    assert machine_of(b"\x7fELF") is None


def test_each_other_processor_is_one_finding_with_the_number_of_its_libraries() -> None:
    headers = [("a.so", header(X86)), ("b.so", header(ARM)), ("c.so", header(ARM)), ("d.so", b"text")]
    found = list(examine_machines(headers, "x86_64", "here", "install again"))
    assert [finding.found for finding in found] == ["b.so and 1 more: aarch64", "d.so: not an ELF file"]


@pytest.mark.parametrize(
    ("text", "expected"), [("1.31.1.dev2", (1, 31, 1)), ("1.26", (1, 26)), ("3.13t", (3, 13)), ("", ())]
)
def test_a_version_is_its_leading_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert parse_version(text) == expected
