"""Build: fetch, slim, compile, zip, prove; the package's table of contents."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlet_cli.assets import copy_functions, functions_folder
from onnxlet_cli.package import archive, bytecode, slim, wheels
from onnxlet_cli.package import target as targets
from onnxlet_cli.package.archive import Part
from onnxlet_cli.package.interpreter import find_interpreter
from onnxlet_cli.package.materials import Material, read_materials, write_bill
from onnxlet_cli.package.proof import Proof, prove
from onnxlet_cli.package.target import Target
from onnxlet_cli.package.wheels import Fetch, Pin
from onnxlet_publishing.errors import MachineError, UsageError

ENTRY_POINTS = "main.py"
REQUIREMENTS = "requirements.txt"

Report = Callable[[str], None]
"""Receives a line for each step."""


@dataclass(frozen=True)
class Options:
    """The options of a package."""

    target: Target
    out: Path
    """The folder for the zip."""
    engine: str = "c"
    """One of `slim.ENGINES`."""
    without: tuple[str, ...] = ()
    """Some of `slim.OPTIONAL`."""
    extras: tuple[str, ...] = ()
    """Some of `slim.EXTRAS`."""


@dataclass(frozen=True)
class Package:
    """A zip with the facts about it."""

    path: Path
    bill: Path
    """The file with its bill of materials."""
    sha256: str
    zipped_bytes: int
    parts: tuple[Part, ...]
    left_out: Mapping[str, int]
    """The bytes of the wheels that were left out, by reason."""
    proof: Proof | None
    unproven: str | None
    """The reason why there is no proof; None if there is one."""
    warnings: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """The size after unpacking, in bytes."""
        return sum(part.size_bytes for part in self.parts)


def build(options: Options, report: Report, fetch: Fetch = wheels.fetch) -> Package:
    """Make the zip that a cloud deploys, and prove it if this machine can run it.

    Lambda's zip contains everything that is pinned; GCP's only our source and the extras, because its buildpack
    installs the rest. It would install what the extras ask for, too, which no function loads.

    Raises:
        UsageError: The options exclude each other, or there is no wheel for the target.
        MachineError: The folder cannot be written, or the wheels cannot be fetched.
        PackageError: A wheel is not as expected, or the package answers wrongly.
    """
    target = options.target
    pins, extras = _pins(options), _extra_pins(options)
    packed = [*pins, *extras] if target.is_complete else extras
    python = bytecode.find_python(target.python)
    warnings = targets.warnings(target)
    with _work_folder(options.out) as work:
        tree, draft = work / "tree", work / "package.zip"
        tree.mkdir()
        owners: dict[str, str] = {}
        left_out: dict[str, int] = {}
        made_of = [Material(pin) for pin in pins if pin not in packed]
        if packed:
            report(f"fetch    {', '.join(map(str, packed))} for Python {target.python} on {target.arch}")
            fetch(packed, target, tree)
            owners, made_of = archive.read_owners(tree), [*made_of, *read_materials(tree, packed)]
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
    """Return the distributions to fetch.

    Raises:
        UsageError: The options exclude each other.
    """
    left_out = slim.left_out_distributions(options.engine, options.without)
    if not options.target.is_complete and (options.without or options.engine != "c"):
        raise UsageError(f"--without, --engine: GCP's buildpack installs all of {REQUIREMENTS}")
    pins = wheels.read_pins(functions_folder() / REQUIREMENTS)
    return pins if not options.target.is_complete else [pin for pin in pins if pin.name.lower() not in left_out]


def _extra_pins(options: Options) -> list[Pin]:
    """Return the distributions of the extras.

    Raises:
        UsageError: There is no such extra.
    """
    files = slim.added_files(options.extras)
    return [pin for name in files for pin in wheels.read_pins(functions_folder() / name)]


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder next to the future zip, and remove it afterwards.

    Raises:
        MachineError: The folder `out` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=".package-", dir=out)
    except OSError as error:
        raise MachineError(f"--out {out}: cannot be written: {error.strerror}") from error
    with folder as work:
        yield Path(work)


def _compile(tree: Path, target: Target, python: Path | None, report: Report) -> list[str]:
    """Compile the tree's modules; return a warning if there is no Python to compile them with."""
    if python is None:
        why = f"this machine has neither python{target.python} nor uv, which could fetch it"
        return [f"no bytecode, so that imports take 2.5 to 3.5 times as long: {why}"]
    bytecode.compile_tree(tree, python)
    report(f"compile  by {python}")
    return []


def _prove(
    draft: Path, options: Options, python: Path | None, dependencies: Path | None, fetch: Fetch
) -> tuple[Proof | None, str | None]:
    """Prove a zip if this machine can run it; return the proof, or the reason why there is no proof.

    The folder `dependencies` is for the libraries that the cloud will install; None if the package contains them.

    Raises:
        UsageError: There is no wheel for the target; the cloud would not find one either.
        PackageError: The package answers wrongly.
    """
    try:
        interpreter = find_interpreter(options.target, python)
        if dependencies is not None:
            fetch(_pins(options), options.target, dependencies)
    except MachineError as error:
        return None, str(error)
    has_images, has_text = "pillow" not in options.without, "text" in options.extras
    return prove(draft, interpreter, dependencies, has_images=has_images, has_text=has_text), None
