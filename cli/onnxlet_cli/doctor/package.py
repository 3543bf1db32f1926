"""The package: whether a zip can start where it will be deployed."""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from onnxlet_cli.doctor.finding import Finding, error, ok, warning
from onnxlet_cli.doctor.libraries import (
    HEADER_BYTES,
    OLDEST_ONNXRUNTIME,
    examine_machines,
    is_library,
    machine_of,
    parse_version,
)
from onnxlet_cli.package.build import ENTRY_POINTS
from onnxlet_cli.package.target import MACHINES

MAX_UNZIPPED_BYTES = 250 * 1024 * 1024
"""The largest unzipped package that Lambda accepts. Source: Lambda quotas, "Deployment package size"."""

BUILD = "make it again: onnxlet package --cloud aws --arch {arch}"

_NAME = re.compile(r"onnxlet-aws-(?P<arch>arm64|x86_64)-python(?P<python>3\.\d+)\.zip")
_PYTHON_TAG = re.compile(r"\.cpython-(\d)(\d+)-")
_ONNXRUNTIME = re.compile(r"onnxruntime-([^/]+)\.dist-info/")
_ONNXRUNTIME_LIBRARY = re.compile(r"onnxruntime/capi/libonnxruntime\.so\.([\d.]+)")


def examine(path: Path) -> Iterator[Finding]:
    """Check a package's files: the entry points, the processor and the Python of its libraries, and its size.

    Its processor stands in the name that `onnxlet package` gives; under another name it is that of most libraries.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as problem:
        expected = "a zip of `onnxlet package`"
        yield error("package_unreadable", str(path), str(problem), expected, "make it again: onnxlet package")
        return
    with archive:
        yield from _examine(archive, path.name)


def _examine(archive: zipfile.ZipFile, name: str) -> Iterator[Finding]:
    names = archive.namelist()
    if ENTRY_POINTS not in names:
        inside = next((entry for entry in names if entry.endswith(f"/{ENTRY_POINTS}")), f"no {ENTRY_POINTS}")
        expected = f"{ENTRY_POINTS} at the root"
        yield error("package_entry_missing", name, inside, expected, "zip the folder's content, not the folder")
    headers = {entry: _head(archive, entry) for entry in names if is_library(entry)}
    if not headers:
        yield ok("package", name, "only source, which Cloud Functions' buildpack completes")
        return
    match = _NAME.fullmatch(name)
    machine = MACHINES[match["arch"]] if match else _most(headers)
    yield from _machines(headers, machine, name)
    yield from _runtime(names, machine, name)
    if match:
        yield from _python(list(headers), match["python"], name)
    yield _size(archive, name)


def _machines(headers: dict[str, bytes], machine: str, name: str) -> Iterator[Finding]:
    arch = next((arch for arch, tag in MACHINES.items() if tag == machine), "ARCH")
    found = list(examine_machines(headers.items(), machine, name, BUILD.format(arch=arch)))
    yield from found or [ok("wheel_platform", name, f"libraries for {machine}: {len(headers)}")]


def _runtime(names: list[str], machine: str, name: str) -> Iterator[Finding]:
    found = next((version for entry in names if (version := _version_of(entry))), None)
    if found is None:
        expected = "ONNX Runtime's library or package"
        yield error("onnxruntime_missing", name, "no onnxruntime", expected, "make it again: onnxlet package")
    elif parse_version(found) < OLDEST_ONNXRUNTIME:
        is_fatal = machine == "aarch64"
        what = f"onnxruntime {found}{', which aborts at import on arm64 (#10038)' if is_fatal else ''}"
        finding = error if is_fatal else warning
        yield finding("onnxruntime_old", name, what, "1.26 or newer", "pin a newer one in functions/requirements.txt")
    else:
        yield ok("onnxruntime", name, f"onnxruntime {found}")


def _version_of(entry: str) -> str | None:
    match = _ONNXRUNTIME.match(entry) or _ONNXRUNTIME_LIBRARY.match(entry)
    return match[1] if match else None


def _python(libraries: list[str], python: str, name: str) -> Iterator[Finding]:
    for library in libraries:
        tag = _PYTHON_TAG.search(library)
        if tag and f"{tag[1]}.{tag[2]}" != python:
            remedy = f"make it again: onnxlet package --python {python}"
            yield error("package_python", name, f"{library} for Python {tag[1]}.{tag[2]}", f"Python {python}", remedy)
            return


def _size(archive: zipfile.ZipFile, name: str) -> Finding:
    size = sum(entry.file_size for entry in archive.infolist())
    found = f"{size / 1e6:.0f} MB unzipped"
    if size > MAX_UNZIPPED_BYTES:
        remedy = "make it with onnxlet package, which leaves out what inference does not load"
        return error("package_large", name, found, "at most 262 MB, which Lambda takes", remedy)
    return ok("package_size", name, found)


def _most(headers: dict[str, bytes]) -> str:
    """Return the processor of most libraries."""
    machines = Counter(machine_of(header) for header in headers.values())
    return next((machine for machine, _count in machines.most_common() if machine), "x86_64")


def _head(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(HEADER_BYTES)
