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

from onnxlet.errors import ArtifactError, InvalidRequestError, OnnxletError, SettingsError
from onnxlet_cli.package.target import GLIBC_MINOR, Target

TIMEOUT_S = 1800
"""Of all downloads together: some 50 MB, from an index that may be slow."""

UNREACHED = ("Failed to establish", "Failed to fetch", "Max retries", "ConnectTimeout", "connection broken")
"""What pip and uv say of an index that does not answer. pip then goes on, and says that there is no such wheel."""

SILENT = "(from versions: none)"
"""All that pip says of either, where it is told not to try again."""

OTHER_BYTES = ("DO NOT MATCH THE HASHES", "Hash mismatch", "--require-hashes")
"""What they say of bytes whose hash is not among the pinned ones, or where none is."""

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
    """The SHA-256 of each file that it may be installed from."""

    def __str__(self) -> str:
        """As installers take it."""
        return f"{self.name}=={self.version}"

    def to_line(self) -> str:
        """As a requirements file has it."""
        return " ".join([str(self), *(f"--hash=sha256:{each}" for each in self.hashes)])


Fetch = Callable[[Sequence[Pin], Target, Path], None]
"""Puts distributions for a target into an empty folder, as `pip install --target` lays them out."""


def read_pins(path: Path) -> list[Pin]:
    """Read a requirements file in which each line pins one distribution; a backslash continues a line.

    For which Pythons one is needed is left out: to fetch one more does no harm.

    Raises:
        SettingsError: it cannot be read, or has any other line.
    """
    try:
        lines = path.read_text().replace("\\\n", " ").splitlines()
    except OSError as error:
        raise SettingsError(f"{path}: expected the functions' pinned requirements: {error.strerror}") from error
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    return [_parse_pin(text, path) for text in texts]


def fetch(pins: Sequence[Pin], target: Target, folder: Path) -> None:
    """Install wheels for a target into a folder, without what they depend on: all that is needed is pinned.

    Raises:
        InvalidRequestError: the index has no wheel of a pin for this target.
        ArtifactError: a wheel is none of those whose hashes are pinned.
        SettingsError: neither pip nor uv is there, or the index does not answer.
    """
    fetch_by(installer(target), pins, target, folder)


def fetch_by(installer: Sequence[str], pins: Sequence[Pin], target: Target, folder: Path) -> None:
    """Fetch by a command that `installer` may give; raises as `fetch`."""
    with TemporaryDirectory(prefix="onnxlet-") as work:
        requirements = Path(work) / "requirements.txt"
        requirements.write_text("".join(f"{pin.to_line()}\n" for pin in pins))
        options = ["--no-deps", "--require-hashes", "--requirement", str(requirements)]
        command = [*installer, "--target", str(folder), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise SettingsError(f"{' '.join(command[:4])}: not done within {TIMEOUT_S} s") from error
    if done.returncode:
        raise _explained(done.stderr, pins, target)


def installer(target: Target) -> list[str]:
    """The command of an installer that is there: this interpreter's pip, else uv, whose environments have no pip.

    Raises:
        SettingsError: there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        return pip_command(target)
    uv = shutil.which("uv")
    if uv is None:
        raise SettingsError(f"neither pip nor uv is there to fetch wheels: run {sys.executable} -m ensurepip")
    return uv_command(uv, target)


def pip_command(target: Target) -> list[str]:
    """This interpreter's pip, for a target."""
    platforms = [word for tag in target.platform_tags for word in ("--platform", tag)]
    options = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check", "--only-binary=:all:"]
    pip = [sys.executable, "-m", "pip", "install", *options]
    return [*pip, "--implementation=cp", "--python-version", target.python, *platforms]


def uv_command(uv: str, target: Target) -> list[str]:
    """The uv at a path, for a target."""
    options = ["--quiet", "--link-mode=copy", "--only-binary=:all:", "--python", sys.executable]
    return [uv, "pip", "install", *options, "--python-version", target.python, "--python-platform", target.uv_platform]


def _parse_pin(text: str, path: Path) -> Pin:
    found = _PIN.fullmatch(text)
    if found is None:
        raise SettingsError(f"{path}: expected lines like numpy==2.4.6, got {text[:100]!r}")
    return Pin(found["name"], found["version"], tuple(_HASH.findall(found["hashes"])))


def _explained(text: str, pins: Sequence[Pin], target: Target) -> OnnxletError:
    """The error that an installer's output means."""
    if any(sign in text for sign in OTHER_BYTES):
        other = next((str(pin) for pin in pins if str(pin) in text), "a wheel")
        return ArtifactError(f"{other}: your package index has other bytes than those whose hashes are pinned")
    if any(sign in text for sign in UNREACHED):
        return SettingsError(f"the package index does not answer: {_last_line(text, UNREACHED)}")
    missing = next((pin for pin in pins if any(str(pin) in line for line in _lines(text, NO_WHEEL))), None)
    if missing is not None:
        place = f"Python {target.python} on {target.arch} (glibc up to 2.{GLIBC_MINOR})"
        doubt = ", or does not answer" if SILENT in text else ""
        return InvalidRequestError(f"{missing}: your package index has no wheel for {place}{doubt}")
    return SettingsError(f"the wheels were not installed: {_last_line(text, ('',))}")


def _lines(text: str, signs: Sequence[str]) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and any(sign in line for sign in signs)]


def _last_line(text: str, signs: Sequence[str]) -> str:
    lines = _lines(text, signs)
    return lines[-1][:400] if lines else "it says nothing"
