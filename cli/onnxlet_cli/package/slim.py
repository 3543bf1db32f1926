"""Rules for the files that inference does not load and that are left out of the package, each with its reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import elf
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import UsageError

ENGINES = ("c", "python")
"""The ways to call ONNX Runtime: the C API of its library, or its Python package, which needs numpy."""

OPTIONAL = ("numpy", "pillow")
"""Distributions that can be left out: pillow if no request sends an image; numpy unless the engine needs it."""


@dataclass(frozen=True)
class Rule:
    """Files that are left out. In a pattern `*` stands for any characters, slashes too."""

    pattern: str
    reason: str
    unless: tuple[str, ...] = ()


LICENCES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "ThirdPartyNotices*", "Privacy*")
"""Names of files that are kept in every folder."""
LICENCE_FOLDERS = ("*.dist-info/licenses/*", "*.dist-info/sboms/*")
"""Folders that are always kept: licences, and the bills of materials of the wheels' builders."""

EVERYWHERE = (
    Rule("*__pycache__/*", "bytecode of whichever Python installed it"),
    Rule("bin/*", "commands, which no function runs"),
    Rule(".lock", "uv's own"),
    Rule("*.dist-info/*", "describes an installation that is no longer complete", unless=("*/METADATA",)),
    Rule("*/tests/*", "tests"),
    *(Rule(f"*{ending}", "for type checkers") for ending in (".pyi", "/py.typed")),
    *(Rule(f"*{ending}", "for compilers") for ending in (".pxd", ".pyx", ".h", ".c", ".a", ".in", ".build", ".pc")),
)

ONNXRUNTIME = {
    "c": (
        Rule("onnxruntime/*", "the engine calls only the library", unless=("onnxruntime/capi/libonnxruntime.so.*",)),
    ),
    "python": (
        # libonnxruntime_providers_shared.so (15 KB) stays: without it each import prints a warning.
        Rule("onnxruntime/capi/libonnxruntime.so.*", "a second copy, which the Python module does not load"),
        Rule("onnxruntime/transformers/*", "optimises graphs before they are published"),
        Rule("onnxruntime/quantization/*", "quantises graphs before they are published"),
        Rule("onnxruntime/tools/*", "commands for developers"),
        Rule("onnxruntime/datasets/*", "examples"),
        Rule("onnxruntime/backend/*", "ONNX's test interface"),
        Rule("onnxruntime/capi/convert_npz_to_onnx_adapter.py", "a command for developers"),
        Rule("onnxruntime/capi/onnxruntime_collect_build_info.py", "a command for developers"),
    ),
}

NUMPY = (
    Rule("numpy/f2py/*", "wraps Fortran"),
    Rule("numpy/_pyinstaller/*", "for another packager"),
    Rule("numpy/_configtool.py", "a command for compilers"),
    Rule("numpy/conftest.py", "for tests"),
    Rule("numpy/testing/*", "for tests"),
    Rule("numpy/_core/*_tests.*.so", "tests"),
    Rule("numpy/_core/_simd.*.so", "tests of numpy's own kernels"),
    Rule("numpy/_core/include/*", "for compilers"),
    Rule("numpy/_core/lib/*", "for compilers"),
    Rule("numpy/random/*", "the functions draw nothing with it; loaded when first named"),
    Rule("numpy/fft/*", "no function transforms; loaded when first named"),
    Rule("numpy/polynomial/*", "no function has polynomials; loaded when first named"),
)

UNUSED_PILLOW = (
    *("ImageDraw", "ImageDraw2", "ImageFont", "ImageText", "BdfFontFile", "FontFile", "PcfFontFile"),
    *("ImageGrab", "ImageQt", "ImageShow", "ImageTk", "ImageWin", "_tkinter_finder", "PSDraw", "PdfParser"),
    *("ImageCms", "ImageMorph"),  # whose libraries are left out
)

PILLOW = (
    Rule(
        "PIL/*ImagePlugin.py",
        "formats that no payload may have; Pillow skips missing plugins",
        unless=tuple(
            f"PIL/{name}ImagePlugin.py" for name in ("Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm", "Tiff", "WebP")
        ),  # what the three formats import, and what Pillow prepares before them
    ),
    Rule("PIL/_avif.*", "AVIF: 3.9 MB with its library"),
    Rule("PIL/_imagingcms.*", "colour profiles are not applied"),
    Rule("PIL/_imagingft.*", "nothing draws text: 4 MB with its fonts' libraries"),
    Rule("PIL/_imagingmorph.*", "arithmetic is the graphs'"),
    Rule("PIL/_imagingtk.*", "there is no screen"),
    *(Rule(f"PIL/{name}.py", "nothing draws, prints or shows images") for name in UNUSED_PILLOW),
)

TOKENIZERS = (Rule("tokenizers/tools/*", "draws tokens in a notebook"),)

SYMBOLS = "symbols for debuggers, and tables of sections"
"""The reason why the end of each library is cut off."""

EXTRAS = {"text": "requirements-text.txt"}
"""Additions to a package, each with its file of pinned distributions next to `requirements.txt`."""

NOT_NEEDED = Rule("*.libs/*", "no library that is kept loads it")


ASKED_FOR = ("flatbuffers", "packaging", "protobuf", "typing-extensions")
"""Dependencies of the wheels that inference does not load; pinned only because GCP's pip wants a hash for each."""


def left_out_distributions(engine: str, without: Iterable[str]) -> set[str]:
    """Return the names of the pinned distributions that are not fetched.

    Raises:
        UsageError: The engine is unknown, or the functions need a distribution.
    """
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine}: expected {' or '.join(ENGINES)}")
    names = set(without)
    for name in sorted(names):
        if name not in OPTIONAL:
            raise UsageError(f"--without {name}: expected some of {', '.join(OPTIONAL)}")
    if engine == "python" and "numpy" in names:
        raise UsageError("--without numpy: the Python engine needs it, expected --engine c")
    return {*names, *ASKED_FOR, *(["numpy"] if engine == "c" else [])}


def added_files(extras: Iterable[str]) -> list[str]:
    """Return the requirements files of additions to a package.

    Raises:
        UsageError: There is no such addition.
    """
    names = sorted(set(extras))
    for name in names:
        if name not in EXTRAS:
            raise UsageError(f"--with {name}: expected some of {', '.join(EXTRAS)}")
    return [EXTRAS[name] for name in names]


def slim(tree: Path, target: Target, engine: str) -> dict[str, int]:
    """Remove the files that inference does not load, and return the removed bytes by reason.

    Raises:
        PackageError: A library is for another processor, or needs a library that a rule removes.
    """
    libraries = _read_libraries(tree, target)
    rules = (*EVERYWHERE, *ONNXRUNTIME[engine], *NUMPY, *PILLOW, *TOKENIZERS)
    left_out: Counter[str] = Counter()
    for path in _files(tree):
        rule = rule_for(path, rules)
        if rule is not None:
            left_out[rule.reason] += _remove(tree / path)
    for path in _unreached(tree, libraries):
        left_out[NOT_NEEDED.reason] += _remove(tree / path)
    _require_complete(tree, libraries)
    for file in (tree / path for path in libraries if (tree / path).exists()):
        data = file.read_bytes()
        kept = elf.without_symbols(data)
        file.write_bytes(kept)
        left_out[SYMBOLS] += len(data) - len(kept)
    return dict(left_out)


def rule_for(path: str, rules: Sequence[Rule]) -> Rule | None:
    """Return the rule that removes a file, or None."""
    if any(fnmatchcase(PurePosixPath(path).name, name) for name in LICENCES):
        return None
    if any(fnmatchcase(path, folder) for folder in LICENCE_FOLDERS):
        return None
    for rule in rules:
        if fnmatchcase(path, rule.pattern) and not any(fnmatchcase(path, kept) for kept in rule.unless):
            return rule
    return None


def _read_libraries(tree: Path, target: Target) -> dict[str, elf.Library]:
    """Return every ELF file by its path.

    Raises:
        PackageError: A file is for another processor.
    """
    found = {}
    for path in _files(tree):
        data = (tree / path).read_bytes()
        if not elf.is_elf(data):
            continue
        library = elf.parse_library(data, path)
        if library.machine != target.elf_machine:
            raise PackageError(
                f"{path}: expected a library for {elf.machine_name(target.elf_machine)}, "
                f"got one for {elf.machine_name(library.machine)}"
            )
        found[path] = library
    return found


def _unreached(tree: Path, libraries: dict[str, elf.Library]) -> list[str]:
    """Return the libraries in `*.libs`, auditwheel's folder, that no kept extension loads, directly or indirectly."""
    kept = {path: library for path, library in libraries.items() if (tree / path).exists()}
    bundled = {PurePosixPath(path).name: path for path in kept if fnmatchcase(path, NOT_NEEDED.pattern)}
    reached: set[str] = set()
    waiting = [name for path, library in kept.items() if path not in bundled.values() for name in library.needed]
    while waiting:
        name = waiting.pop()
        if name in bundled and name not in reached:
            reached.add(name)
            waiting += kept[bundled[name]].needed
    return [path for name, path in bundled.items() if name not in reached]


def _require_complete(tree: Path, libraries: dict[str, elf.Library]) -> None:
    """Refuse a tree in which a kept library loads a removed one."""
    gone = {PurePosixPath(path).name for path in libraries if not (tree / path).exists()}
    for path, library in libraries.items():
        missing = sorted(gone.intersection(library.needed))
        if missing and (tree / path).exists():
            raise PackageError(f"{path}: loads {missing[0]}, which slim.py removes; this wheel is built in another way")


def _remove(file: Path) -> int:
    """Remove a file and return its size in bytes."""
    size_bytes = file.stat().st_size
    file.unlink()
    return size_bytes


def _files(tree: Path) -> list[str]:
    """Return the paths of all files relative to the tree, sorted."""
    return sorted(file.relative_to(tree).as_posix() for file in tree.rglob("*") if file.is_file())
