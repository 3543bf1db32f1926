"""The report on a package: a document for machines, lines and a table for people."""

from dataclasses import asdict
from typing import Any

from onnxlet_cli.package.build import Options, Package

MB = 1_000_000


def document(package: Package, options: Options) -> dict[str, Any]:
    """Return a package as JSON, with sizes in bytes."""
    return {
        "path": str(package.path),
        "bill": str(package.bill),
        **asdict(options.target),
        "engine": options.engine,
        "extras": list(options.extras),
        "sha256": package.sha256,
        "size_bytes": package.size_bytes,
        "zipped_bytes": package.zipped_bytes,
        "parts": [asdict(part) for part in package.parts],
        "left_out_bytes": dict(package.left_out),
        "proof": None if package.proof is None else asdict(package.proof),
        "unproven": package.unproven,
        "warnings": list(package.warnings),
    }


def rows(package: Package) -> list[dict[str, Any]]:
    """Return a row with the sizes of each part, and one with their sums."""
    sizes = [(part.name, part.size_bytes, part.zipped_bytes) for part in package.parts]
    sizes.append(("together", package.size_bytes, package.zipped_bytes))
    return [{"part": name, "unzipped": _megabytes(size), "zipped": _megabytes(zipped)} for name, size, zipped in sizes]


def verdict(package: Package) -> str:
    """Return a line that says whether the package was proven, and how."""
    proof = package.proof
    if proof is None:
        return f"Not proven: {package.unproven}"
    count = f"{proof.requests} request{'' if proof.requests == 1 else 's'}"
    place = f"{proof.python} {proof.emulation}" if proof.emulation else proof.python
    time = "" if proof.emulation else f", {proof.init_s * 1000:.0f} ms after the start"
    return f"Proven: alone in {place}, it answered {count} correctly with the {proof.engine} engine{time}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / MB:6.2f} MB"
