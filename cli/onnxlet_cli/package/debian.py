"""Debian's arm64 Pythons and QEMU, unpacked into a folder: nothing is installed, and the machine's apt stays as it is.

`make arm64` runs `python -m onnxlet_cli.package.debian [MIRROR]`. It needs apt, dpkg and the keys of Debian's archive.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlet_cli import output
from onnxlet_cli.package.interpreter import CPU_FILES, EMULATED, EMULATION, QEMU, can_emulate, emulated
from onnxlet_cli.package.target import DEFAULT_PYTHON, Target
from onnxlet_publishing.errors import CommandError, MachineError

QEMU_SUITE = "bookworm"
"""The Debian whose QEMU is one package with one static executable."""

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "apt-config", "dpkg-deb")

TIMEOUT_S = 600

CPUINFO = "".join(
    f"processor\t: {number}\n"
    "BogoMIPS\t: 243.75\n"
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
    "CPU implementer\t: 0x41\n"
    "CPU architecture: 8\n"
    "CPU variant\t: 0x3\n"
    "CPU part\t: 0xd0c\n"
    "CPU revision\t: 1\n\n"
    for number in range(2)
)
"""The /proc/cpuinfo of a Graviton2 with two cores.

Source: Linux, Documentation/arm64/cpu-feature-registers.rst; Arm's Neoverse N1 reference manual, register MIDR_EL1.
"""

APT = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""
"""The settings of an apt that knows one suite of one architecture and has no package installed."""


def main(folder: Path = EMULATION, mirror: str | None = None) -> None:
    """Install the emulator into a folder, and make sure that it runs as `make arm64` needs it.

    Raises:
        MachineError: This machine cannot emulate arm64, or only root can hide files from a process.
    """
    if not can_emulate(Target("aws", "arm64", DEFAULT_PYTHON)):
        raise MachineError(f"expected Linux on x86_64, got {platform.system()} on {platform.machine()}")
    install(folder, mirror)
    for version in EMULATED:
        if not emulated(version, folder, has_cpu_files=True).runs():
            raise MachineError(f"the emulated Python {version} does not run: remove {folder} and try again")
        if not emulated(version, folder, has_cpu_files=False).runs():
            raise MachineError(f"only root can hide {CPU_FILES} from a process on this machine: run it as root")


def install(folder: Path, mirror: str | None = None) -> None:
    """Put QEMU and each arm64 Python into a folder, unless they are there already.

    Without the URL of a Debian mirror the one that this machine's apt uses is taken.

    Raises:
        MachineError: a tool or the keys are missing, or the mirror does not answer.
    """
    missing = [version for version in EMULATED if not (folder / f"python{version}").exists()]
    has_qemu = (folder / QEMU).exists()
    if has_qemu and not missing:
        return
    require_tools()
    mirror = mirror or find_mirror()
    output.print_line(f"Unpacking QEMU and arm64 Pythons from {mirror} into {folder}; nothing is installed elsewhere")
    folder.mkdir(parents=True, exist_ok=True)
    if not has_qemu:
        with TemporaryDirectory(dir=folder) as work:
            unpack(["qemu-user-static"], "amd64", QEMU_SUITE, mirror, Path(work))
            (Path(work) / "root/usr/bin" / QEMU).rename(folder / QEMU)
    for version in missing:
        packages = [f"python{version}-minimal", f"libpython{version}-stdlib", "libstdc++6"]
        with TemporaryDirectory(dir=folder) as work:
            unpack(packages, "arm64", EMULATED[version], mirror, Path(work))
            complete(Path(work) / "root").rename(folder / f"python{version}")


def unpack(packages: Sequence[str], architecture: str, suite: str, mirror: str, folder: Path) -> None:
    """Unpack packages, and all that they need, into `root` in an empty folder.

    Raises:
        MachineError: the mirror has no such package or does not answer, or the disk is full.
    """
    for name in ("state/lists/partial", "cache/archives/partial", "root"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYS}] {mirror} {suite} main\n")
    (folder / "apt.conf").write_text(
        _run(["apt-config", "dump", "Acquire"]) + APT.format(folder=folder.absolute(), architecture=architecture)
    )
    environment = {"APT_CONFIG": str(folder.absolute() / "apt.conf")}
    _run(["apt-get", "-q", "update"], environment)
    _run(["apt-get", "-q", "install", "--download-only", "--yes", *packages], environment)
    for archive in sorted((folder / "cache/archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(folder / "root")])


def complete(root: Path) -> Path:
    """Add the files that the emulated process needs and that no package contains to an unpacked root folder."""
    if not (root / "lib").exists():  # Debian makes the link while it installs itself
        (root / "lib").symlink_to("usr/lib")
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(CPUINFO)
    return root


def find_mirror() -> str:
    """Return the URL of the Debian mirror that this machine's apt uses.

    Raises:
        MachineError: It uses no mirror.
    """
    targets = _run(["apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)"])
    for line in targets.splitlines():
        label, _, rest = line.partition(" ")
        if label == "Debian":
            return rest.split()[1]
    raise MachineError(
        "no Debian mirror among this machine's package sources: run apt-get update, or name one with MIRROR=URL"
    )


def require_tools() -> None:
    """Check that the tools that fetch Debian's packages, and the keys of its archive, are installed.

    Raises:
        MachineError: a tool or the keys are missing.
    """
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise MachineError(f"{tool}: expected the tools of Debian or Ubuntu, which fetch the arm64 Python")
    if not KEYS.exists():
        raise MachineError(f"{KEYS}: expected the keys of Debian's archive: install debian-archive-keyring")


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a tool and return what it prints.

    Raises:
        MachineError: it failed.
    """
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise MachineError(f"{' '.join(command[:3])}: {done.stderr.strip()[-400:] or f'exit code {done.returncode}'}")
    return done.stdout


if __name__ == "__main__":
    try:
        main(EMULATION, *sys.argv[1:])
    except CommandError as error:
        sys.exit(f"make arm64: {error}")
