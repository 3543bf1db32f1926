"""Build: fetch, slim, compile, zip, prove; the package's table of contents."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlet.errors import InvalidRequestError, SettingsError
from onnxlet_cli.assets import copy_functions, functions_folder
from onnxlet_cli.package import archive, bytecode, slim, wheels
from onnxlet_cli.package import target as targets
from onnxlet_cli.package.archive import Part
from onnxlet_cli.package.interpreter import find_interpreter
from onnxlet_cli.package.materials import Material, read_materials, write_bill
from onnxlet_cli.package.proof import Proof, prove
from onnxlet_cli.package.target import Target
from onnxlet_cli.package.wheels import Fetch, Pin

ENTRY_POINTS = "main.py"
REQUIREMENTS = "requirements.txt"

Report = Callable[[str], None]
"""Takes a line at each step."""


@dataclass(frozen=True)
class Options:
    """What a package shall be."""

    target: Target
    out: Path
    """The folder that the zip goes to."""
    engine: str = "c"
    """One of `slim.ENGINES`."""
    without: tuple[str, ...] = ()
    """Some of `slim.OPTIONAL`."""


@dataclass(frozen=True)
class Package:
    """A zip, and what is known of it."""

    path: Path
    bill: Path
    """Its bill of materials."""
    sha256: str
    zipped_bytes: int
    parts: tuple[Part, ...]
    left_out: Mapping[str, int]
    """Bytes of the wheels that are not in it, by reason."""
    proof: Proof | None
    unproven: str | None
    """Why there is no proof."""
    warnings: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Unpacked."""
        return sum(part.size_bytes for part in self.parts)


def build(options: Options, report: Report, fetch: Fetch = wheels.fetch) -> Package:
    """Make the zip that a cloud takes, and prove it where this machine can run it.

    Lambda's holds all that is pinned; GCP's is the source alone, for its buildpack installs and compiles the rest.

    Args:
        options: What it shall be.
        report: Takes a line at each step.
        fetch: Where the distributions come from.

    Raises:
        InvalidRequestError: options that do not go together, or no wheel for the target.
        SettingsError: the folder cannot be written, or the wheels cannot be fetched.
        ArtifactError: a wheel is not what it should be, or the package does not answer rightly.
    """
    target = options.target
    pins = _pins(options)
    python = bytecode.find_python(target.python)
    warnings = targets.warnings(target)
    with _work_folder(options.out) as work:
        tree, draft = work / "tree", work / "package.zip"
        tree.mkdir()
        owners: dict[str, str] = {}
        left_out: dict[str, int] = {}
        made_of = [Material(pin) for pin in pins]
        if target.is_complete:
            _fetch(tree, target, pins, report, fetch)
            owners, made_of = archive.read_owners(tree), read_materials(tree, pins)
            left_out = slim.slim(tree, target, options.engine)
            report(f"slim     {sum(left_out.values()) / 1e6:.1f} MB left out that inference does not load")
        copy_functions(tree)
        if target.is_complete:
            warnings += _compile(tree, target, python, report)
        archive.write_archive(tree, draft)
        report(f"zip      {draft.stat().st_size / 1e6:.1f} MB")
        proof, unproven = _prove(draft, options, python, None if target.is_complete else work / "dependencies", fetch)
        report(f"prove    {'it answers' if proof else f'not done: {unproven}'}")
        path = options.out / target.file_name
        draft.replace(path)
        parts = tuple(archive.parts(path, owners))
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    bill = path.with_suffix(".cdx.json")
    write_bill(bill, sha256, made_of)
    return Package(path, bill, sha256, len(data), parts, left_out, proof, unproven, tuple(warnings))


def _pins(options: Options) -> list[Pin]:
    """The distributions that are fetched.

    Raises:
        InvalidRequestError: options that do not go together.
    """
    left_out = slim.left_out_distributions(options.engine, options.without)
    if not options.target.is_complete and (options.without or options.engine != "c"):
        raise InvalidRequestError(f"--without, --engine: GCP's buildpack installs all of {REQUIREMENTS}")
    pins = wheels.read_pins(functions_folder() / REQUIREMENTS)
    return pins if not options.target.is_complete else [pin for pin in pins if pin.name.lower() not in left_out]


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside the zip that is to be, gone afterwards.

    Raises:
        SettingsError: `out` is no folder that can be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=".package-", dir=out)
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written: {error.strerror}") from error
    with folder as work:
        yield Path(work)


def _fetch(tree: Path, target: Target, pins: list[Pin], report: Report, fetch: Fetch) -> None:
    report(f"fetch    {', '.join(map(str, pins))} for Python {target.python} on {target.arch}")
    fetch(pins, target, tree)


def _compile(tree: Path, target: Target, python: Path | None, report: Report) -> list[str]:
    """Compile the tree's modules; a warning where there is nothing to compile them with."""
    if python is None:
        why = f"neither a python{target.python} nor a uv that could fetch one is here"
        return [f"no bytecode, so that imports take 2.5 to 3.5 times as long: {why}"]
    bytecode.compile_tree(tree, python)
    report(f"compile  by {python}")
    return []


def _prove(
    draft: Path, options: Options, python: Path | None, dependencies: Path | None, fetch: Fetch
) -> tuple[Proof | None, str | None]:
    """Prove a package where this machine can run it.

    Args:
        draft: The zip.
        options: What it is.
        python: This machine's own interpreter of the target's version; None if there is none.
        dependencies: A folder for what the cloud will install itself; None if the package holds it.
        fetch: Where the distributions come from.

    Returns:
        The proof, or why there is none.

    Raises:
        InvalidRequestError: no wheel for the target: the cloud would find none either.
        ArtifactError: the package does not answer rightly.
    """
    try:
        interpreter = find_interpreter(options.target, python)
        if dependencies is not None:
            fetch(_pins(options), options.target, dependencies)
    except SettingsError as error:
        return None, str(error)
    return prove(draft, interpreter, dependencies, has_images="pillow" not in options.without), None
