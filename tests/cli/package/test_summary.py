import json
from dataclasses import replace
from pathlib import Path

from onnxlet_cli.package import summary
from onnxlet_cli.package.archive import Part
from onnxlet_cli.package.build import Options, Package
from onnxlet_cli.package.proof import Proof
from onnxlet_cli.package.target import Target

OPTIONS = Options(Target("aws", "arm64", "3.13"), Path("dist"))
PROOF = Proof("/usr/bin/python3.13", "c", 4, 0.1234, 0)


def package(proof: Proof | None = PROOF, unproven: str | None = None) -> Package:
    parts = (Part("onnxruntime", 25_600_000, 10_100_000), Part("onnxlet", 600_000, 300_000))
    return Package(
        Path("dist/x.zip"),
        Path("dist/x.cdx.json"),
        "ab" * 32,
        10_400_022,
        parts,
        {"tests": 7},
        proof,
        unproven,
        ("a warning",),
    )


def test_the_table_has_a_row_for_each_part_and_one_for_all() -> None:
    assert summary.rows(package()) == [
        {"part": "onnxruntime", "unzipped": " 25.60 MB", "zipped": " 10.10 MB"},
        {"part": "onnxlet", "unzipped": "  0.60 MB", "zipped": "  0.30 MB"},
        {"part": "together", "unzipped": " 26.20 MB", "zipped": " 10.40 MB"},
    ]


def test_the_verdict_says_what_was_asked_or_why_nothing_was() -> None:
    asked = "alone in /usr/bin/python3.13, it answered 4 requests correctly with the c engine, 123 ms after the start"
    assert summary.verdict(package()) == f"Proven: {asked}"
    emulated = replace(PROOF, emulation="under emulation")
    asked = "alone in /usr/bin/python3.13 under emulation, it answered 4 requests correctly with the c engine"
    assert summary.verdict(package(emulated)) == f"Proven: {asked}", "its times are the emulator's"
    assert summary.verdict(package(None, "no Python 3.13 is here")) == "Not proven: no Python 3.13 is here"


def test_the_document_is_json_with_all_of_it() -> None:
    document = summary.document(package(), OPTIONS)
    assert json.loads(json.dumps(document)) == document
    assert {**document, "parts": None} == {
        "path": "dist/x.zip",
        "bill": "dist/x.cdx.json",
        "cloud": "aws",
        "arch": "arm64",
        "python": "3.13",
        "engine": "c",
        "extras": [],
        "sha256": "ab" * 32,
        "size_bytes": 26_200_000,
        "zipped_bytes": 10_400_022,
        "parts": None,
        "left_out_bytes": {"tests": 7},
        "proof": {
            "python": "/usr/bin/python3.13",
            "engine": "c",
            "requests": 4,
            "init_s": 0.1234,
            "from_source": 0,
            "emulation": None,
        },
        "unproven": None,
        "warnings": ["a warning"],
    }
    assert document["parts"][1] == {"name": "onnxlet", "size_bytes": 600_000, "zipped_bytes": 300_000}
