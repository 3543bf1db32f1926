"""Wheels: the pinned distributions, fetched for a target by the user's own pip or uv, from the user's own index."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package.target import GLIBC_MINOR, Target
from onnxlet_publishing.errors import CommandError, MachineError, UsageError

TIMEOUT_S = 1800
"""Timeout for all downloads together: about 50 MB, from an index that may be slow."""

UNREACHED = ("Failed to establish", "Failed to fetch", "Max retries", "ConnectTimeout", "connection broken")
"""Messages of pip and uv if the index does not answer. After it, pip also reports that there is no such wheel."""

SILENT = "(from versions: none)"
"""The only message of pip in both cases if its retries are switched off."""

OTHER_BYTES = ("DO NOT MATCH THE HASHES", "Hash mismatch", "--require-hashes")
"""Messages of pip and uv if the hash of a file is not among the pinned ones, or if no hash is pinned."""

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.+!]+)"
    r"(?: ; python_full_version [<>=!]+ '[0-9.]+')?"
    rf"(?P<hashes>(?:\s+{_HASH.pattern})*)"
)

NO_WHEEL = ("No matching distribution", "no wheels with a matching", "no usable wheels", "no version of")


@dataclass(frozen=True)
class Pin:
    """One distribution of `functions/requirements.txt`."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    """The SHA-256 of every file that may be installed."""

    def __str__(self) -> str:
        """Return the pin as installers accept it."""
        return f"{self.name}=={self.version}"

    def to_line(self) -> str:
        """Return the pin and its hashes as a line of a requirements file."""
        return " ".join([str(self), *(f"--hash=sha256:{each}" for each in self.hashes)])


Fetch = Callable[[Sequence[Pin], Target, Path], None]
"""Installs distributions for a target into an empty folder, in the layout of `pip install --target`."""


def read_pins(path: Path) -> list[Pin]:
    """Read a requirements file in which each line pins one distribution; a backslash continues a line.

    Markers for Python versions are ignored: an extra distribution does no harm.

    Raises:
        MachineError: it cannot be read, or has any other line.
    """
    try:
        lines = path.read_text().replace("\\\n", " ").splitlines()
    except OSError as error:
        raise MachineError(f"{path}: expected the functions' pinned requirements: {error.strerror}") from error
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    return [_parse_pin(text, path) for text in texts]


def fetch(pins: Sequence[Pin], target: Target, folder: Path) -> None:
    """Install wheels for a target into a folder, without their dependencies: everything that is needed is pinned.

    Raises:
        UsageError: the index has no wheel of a pin for this target.
        PackageError: a wheel has another hash than the pinned ones.
        MachineError: neither pip nor uv is there, or the index does not answer.
    """
    fetch_by(installer(target), pins, target, folder)


def fetch_by(installer: Sequence[str], pins: Sequence[Pin], target: Target, folder: Path) -> None:
    """Fetch with a command that `installer` can return; raises as `fetch`."""
    with TemporaryDirectory(prefix="onnxlet-") as work:
        requirements = Path(work) / "requirements.txt"
        requirements.write_text("".join(f"{pin.to_line()}\n" for pin in pins))
        options = ["--no-deps", "--require-hashes", "--requirement", str(requirements)]
        command = [*installer, "--target", str(folder), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"{' '.join(command[:4])}: not finished within {TIMEOUT_S} s") from error
    if done.returncode:
        raise _explained(done.stderr, pins, target)


def installer(target: Target) -> list[str]:
    """Return the command of an available installer: this interpreter's pip, or else uv, whose environments lack pip.

    Raises:
        MachineError: Neither is installed.
    """
    if importlib.util.find_spec("pip") is not None:
        return pip_command(target)
    uv = shutil.which("uv")
    if uv is None:
        raise MachineError(f"neither pip nor uv is installed, which fetch wheels: run {sys.executable} -m ensurepip")
    return uv_command(uv, target)


def pip_command(target: Target) -> list[str]:
    """Return the command of this interpreter's pip for a target."""
    platforms = [word for tag in target.platform_tags for word in ("--platform", tag)]
    options = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check", "--only-binary=:all:"]
    pip = [sys.executable, "-m", "pip", "install", *options]
    return [*pip, "--implementation=cp", "--python-version", target.python, *platforms]


def uv_command(uv: str, target: Target) -> list[str]:
    """Return the command of uv for a target."""
    options = ["--quiet", "--link-mode=copy", "--only-binary=:all:", "--python", sys.executable]
    return [uv, "pip", "install", *options, "--python-version", target.python, "--python-platform", target.uv_platform]


def _parse_pin(text: str, path: Path) -> Pin:
    found = _PIN.fullmatch(text)
    if found is None:
        raise MachineError(f"{path}: expected lines like numpy==2.4.6, got {text[:100]!r}")
    return Pin(found["name"], found["version"], tuple(_HASH.findall(found["hashes"])))


def _explained(text: str, pins: Sequence[Pin], target: Target) -> PackageError | CommandError:
    """Return the error for an installer's output."""
    if any(sign in text for sign in OTHER_BYTES):
        other = next((str(pin) for pin in pins if str(pin) in text), "a wheel")
        return PackageError(f"{other}: your package index has other bytes than the pinned hashes")
    if any(sign in text for sign in UNREACHED):
        return MachineError(f"the package index does not answer: {_last_line(text, UNREACHED)}")
    missing = next((pin for pin in pins if any(str(pin) in line for line in _lines(text, NO_WHEEL))), None)
    if missing is not None:
        place = f"Python {target.python} on {target.arch} (glibc up to 2.{GLIBC_MINOR})"
        doubt = ", or does not answer" if SILENT in text else ""
        return UsageError(f"{missing}: your package index has no wheel for {place}{doubt}")
    return MachineError(f"the wheels were not installed: {_last_line(text, ('',))}")


def _lines(text: str, signs: Sequence[str]) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and any(sign in line for sign in signs)]


def _last_line(text: str, signs: Sequence[str]) -> str:
    lines = _lines(text, signs)
    return lines[-1][:400] if lines else "the installer printed nothing"
