"""What inference does not load, and is left out of the package: each with its reason, all in this file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from onnxlet.errors import ArtifactError, InvalidRequestError
from onnxlet_cli.package import elf
from onnxlet_cli.package.target import Target

ENGINES = ("c", "python")
"""How the functions call ONNX Runtime: the C API of its library, or its Python package, which needs numpy."""

OPTIONAL = ("numpy", "pillow")
"""Distributions that functions may go without: pillow where no image is sent; numpy unless the engine needs it."""


@dataclass(frozen=True)
class Rule:
    """Files that are left out. In a pattern `*` stands for any characters, slashes too."""

    pattern: str
    reason: str
    unless: tuple[str, ...] = ()


LICENCES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "ThirdPartyNotices*", "Privacy*")
"""Names of files that are always kept, wherever they lie,"""
LICENCE_FOLDERS = ("*.dist-info/licenses/*", "*.dist-info/sboms/*")
"""as are these folders: what the wheels' builders state about what they have put in."""

EVERYWHERE = (
    Rule("*__pycache__/*", "bytecode of whichever Python installed it"),
    Rule("bin/*", "commands, which no function runs"),
    Rule(".lock", "uv's own"),
    Rule("*.dist-info/*", "about an installation, and its files are no longer all there", unless=("*/METADATA",)),
    Rule("*/tests/*", "tests"),
    *(Rule(f"*{ending}", "for type checkers") for ending in (".pyi", "/py.typed")),
    *(Rule(f"*{ending}", "for compilers") for ending in (".pxd", ".pyx", ".h", ".c", ".a", ".in", ".build", ".pc")),
)

ONNXRUNTIME = {
    "c": (
        Rule("onnxruntime/*", "the engine calls the library alone", unless=("onnxruntime/capi/libonnxruntime.so.*",)),
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
        "formats that no payload may have; Pillow passes over those that are not there",
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

NOT_NEEDED = Rule("*.libs/*", "no library that is kept loads it")


ASKED_FOR = ("flatbuffers", "packaging", "protobuf", "typing-extensions")
"""What the wheels ask for and inference does not load; pinned for GCP, whose pip wants a hash of each."""


def left_out_distributions(engine: str, without: Iterable[str]) -> set[str]:
    """The names of the pinned distributions that are not fetched.

    Raises:
        InvalidRequestError: an unknown engine, or the functions cannot go without one.
    """
    if engine not in ENGINES:
        raise InvalidRequestError(f"--engine {engine}: expected {' or '.join(ENGINES)}")
    names = set(without)
    for name in sorted(names):
        if name not in OPTIONAL:
            raise InvalidRequestError(f"--without {name}: expected some of {', '.join(OPTIONAL)}")
    if engine == "c":
        return {*names, *ASKED_FOR, "numpy"}
    if "numpy" in names:
        raise InvalidRequestError("--without numpy: the Python engine needs it, expected --engine c")
    return {*names, *ASKED_FOR}


def slim(tree: Path, target: Target, engine: str) -> dict[str, int]:
    """Take away what inference does not load.

    Returns:
        The bytes that are gone, by reason.

    Raises:
        ArtifactError: a library is for another processor, or one that is kept loads one that a rule takes away.
    """
    libraries = _read_libraries(tree, target)
    rules = (*EVERYWHERE, *ONNXRUNTIME[engine], *NUMPY, *PILLOW)
    left_out: Counter[str] = Counter()
    for path in _files(tree):
        rule = rule_for(path, rules)
        if rule is not None:
            _remove(tree, path, rule, left_out)
    for path in _unreached(tree, libraries):
        _remove(tree, path, NOT_NEEDED, left_out)
    _require_complete(tree, libraries)
    return dict(left_out)


def rule_for(path: str, rules: Sequence[Rule]) -> Rule | None:
    """The rule that takes a file away, or None."""
    if any(fnmatchcase(PurePosixPath(path).name, name) for name in LICENCES):
        return None
    if any(fnmatchcase(path, folder) for folder in LICENCE_FOLDERS):
        return None
    for rule in rules:
        if fnmatchcase(path, rule.pattern) and not any(fnmatchcase(path, kept) for kept in rule.unless):
            return rule
    return None


def _read_libraries(tree: Path, target: Target) -> dict[str, elf.Library]:
    """Every ELF file, by its path.

    Raises:
        ArtifactError: one is for another processor.
    """
    found = {}
    for path in _files(tree):
        data = (tree / path).read_bytes()
        if not elf.is_elf(data):
            continue
        library = elf.parse_library(data, path)
        if library.machine != target.elf_machine:
            raise ArtifactError(
                f"{path}: expected a library for {elf.machine_name(target.elf_machine)}, "
                f"got one for {elf.machine_name(library.machine)}"
            )
        found[path] = library
    return found


def _unreached(tree: Path, libraries: dict[str, elf.Library]) -> list[str]:
    """The libraries in `*.libs`, where auditwheel puts them, that no kept extension loads, by itself or by another."""
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
    """Refuse a tree in which a library loads what the wheels brought and a rule took away."""
    gone = {PurePosixPath(path).name for path in libraries if not (tree / path).exists()}
    for path, library in libraries.items():
        missing = sorted(gone.intersection(library.needed))
        if missing and (tree / path).exists():
            raise ArtifactError(f"{path}: loads {missing[0]}, which slim.py leaves out; this wheel is built otherwise")


def _remove(tree: Path, path: str, rule: Rule, left_out: Counter[str]) -> None:
    file = tree / path
    left_out[rule.reason] += file.stat().st_size
    file.unlink()


def _files(tree: Path) -> list[str]:
    """The paths of all files, relative to the tree, in order."""
    return sorted(file.relative_to(tree).as_posix() for file in tree.rglob("*") if file.is_file())
