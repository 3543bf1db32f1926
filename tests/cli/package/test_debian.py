import os
import platform
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from onnxlet_cli.package import debian
from onnxlet_cli.package.interpreter import EMULATED, QEMU
from onnxlet_publishing.errors import MachineError

MIRROR = "http://mirror.test/debian"

APT_GET = """
echo "$@" >> {log}
case "$2" in
    --format) printf '%s\\n' {targets};;
    install) for last; do :; done; : > "$(dirname "$APT_CONFIG")/cache/archives/$last.deb";;
esac
"""

DPKG_DEB = f"""
mkdir -p "$3/usr/bin" "$3/usr/lib"
touch "$3/usr/bin/{QEMU}"
"""

HIDES_NOTHING = 'while [ "$1" != -ec ]; do shift; done; shift 3; exec "$@"'
"""An unshare that runs its command with nothing hidden."""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scripts for apt's and dpkg's commands; `log` there has what apt-get was called with."""
    folder = tmp_path / "tools"
    folder.mkdir()
    keys = folder / "keys.gpg"
    keys.touch()
    monkeypatch.setattr(debian, "KEYS", keys)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    write_targets(folder, "Debian-Security main http://security.test/", f"Debian main {MIRROR}")
    write_command(folder / "apt-config", "echo 'Acquire::http::Proxy \"http://proxy.test\";'")
    write_command(folder / "dpkg-deb", DPKG_DEB)
    return folder


def write_targets(folder: Path, *lines: str) -> None:
    quoted = " ".join(f"'{line}'" for line in lines)
    write_command(folder / "apt-get", APT_GET.format(log=folder / "log", targets=quoted))


def write_command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_qemu_and_each_python_get_a_place_of_their_own(tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "emulation"
    debian.install(folder)
    assert {path.name for path in folder.iterdir()} == {QEMU, *(f"python{version}" for version in EMULATED)}
    for version in EMULATED:
        root = folder / f"python{version}"
        assert (root / "lib").readlink() == Path("usr/lib"), "where the loader is looked for"
        assert "CPU part\t: 0xd0c" in (root / "proc/cpuinfo").read_text()
    installed = [line.split()[-1] for line in (tools / "log").read_text().splitlines() if "--yes" in line]
    assert installed == ["qemu-user-static", *["libstdc++6"] * len(EMULATED)]


def test_what_is_there_is_not_fetched_again(tools: Path, tmp_path: Path) -> None:
    debian.install(tmp_path / "emulation")
    (tools / "log").unlink()
    debian.install(tmp_path / "emulation")
    assert not (tools / "log").exists()
    shutil.rmtree(tmp_path / "emulation/python3.13")
    debian.install(tmp_path / "emulation", MIRROR)
    assert (tools / "log").read_text().count("--yes") == 1


def test_nothing_stays_of_what_failed(tools: Path, tmp_path: Path) -> None:
    write_command(tools / "dpkg-deb", "echo disk full >&2; exit 2")
    with pytest.raises(MachineError, match=r"dpkg-deb --extract .*: disk full"):
        debian.install(tmp_path / "emulation")
    assert list((tmp_path / "emulation").iterdir()) == []


def test_the_mirror_is_the_one_of_this_machines_debian(tools: Path) -> None:
    assert debian.find_mirror() == MIRROR
    write_targets(tools, "Ubuntu main http://ubuntu.test/", "Debian-Security main http://security.test/")
    with pytest.raises(MachineError, match=r"no Debian mirror .*: run apt-get update, or name one with MIRROR=URL"):
        debian.find_mirror()


def test_a_missing_tool_is_an_error_that_names_it(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tools))
    (tools / "dpkg-deb").unlink()
    with pytest.raises(MachineError, match="dpkg-deb: expected the tools of Debian or Ubuntu"):
        debian.install(tmp_path / "emulation")
    write_command(tools / "dpkg-deb", DPKG_DEB)
    (tools / "keys.gpg").unlink()
    with pytest.raises(MachineError, match="install debian-archive-keyring"):
        debian.install(tmp_path / "emulation")


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="arm64 is emulated on x86_64 Linux only"
)
@pytest.mark.parametrize(
    ("emulator", "unshare", "error"),
    [
        ("exit 1", HIDES_NOTHING, r"the emulated Python 3\.11 does not run: remove .* and try again"),
        ("exit 0", "exit 1", "only root can hide /sys/devices/system/cpu .*: run it as root"),
        ("exit 0", HIDES_NOTHING, None),
    ],
)
def test_make_arm64_says_what_keeps_it_from_running(
    tools: Path, tmp_path: Path, emulator: str, unshare: str, error: str | None
) -> None:
    folder = tmp_path / "emulation"
    debian.install(folder)
    write_command(folder / QEMU, emulator)
    write_command(tools / "unshare", unshare)
    with nullcontext() if error is None else pytest.raises(MachineError, match=error):
        debian.main(folder)


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="apt is not on this machine")
def test_the_real_apt_keeps_to_the_folder(tmp_path: Path) -> None:
    """Its lists, its cache, its sources and its idea of what is installed; no hook of this machine runs."""
    (tmp_path / "apt.conf").write_text(debian.APT.format(folder=tmp_path, architecture="arm64"))
    places = ("Dir::State::lists/d", "Dir::State::status/f", "Dir::Cache::archives/d", "Dir::Etc::sourcelist/f")
    names = [word for number, place in enumerate(places) for word in (f"P{number}", place)]
    shell, dump = (
        subprocess.run(
            ["apt-config", *arguments],
            env={**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in (["shell", *names], ["dump"])
    )
    assert [line.split("=")[1].startswith(f"'{tmp_path}/") for line in shell.splitlines()] == [True] * len(places)
    assert "Invoke" not in dump
    assert 'APT::Architecture "arm64";' in dump
