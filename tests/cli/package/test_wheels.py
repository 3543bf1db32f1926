import hashlib
import shutil
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import wheels
from onnxlet_cli.package.target import Target
from onnxlet_cli.package.wheels import Pin
from onnxlet_publishing.errors import MachineError, UsageError

ARM = Target("aws", "arm64", "3.13")
PIN = Pin("fake", "1.0", ("0" * 64,))


@pytest.fixture(params=["pip", "uv"])
def installer(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each installer, which sees the wheels in `tmp_path` and no index."""
    for name in ("PIP_CONFIG_FILE", "UV_NO_CONFIG"):
        monkeypatch.setenv(name, {"PIP_CONFIG_FILE": "/dev/null", "UV_NO_CONFIG": "1"}[name])
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(tmp_path))
    if request.param == "pip":
        pytest.importorskip("pip")
        return wheels.pip_command(ARM)
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not here")
    return wheels.uv_command(uv, ARM)


def write_wheel(folder: Path, tag: str, requires: str = "") -> Pin:
    """A wheel that is valid to installers, for Python 3.13 and one platform; gives the pin of it."""
    files = {
        "fake/__init__.py": f"TAG = {tag!r}\n",
        "fake-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: fake\nVersion: 1.0\n{requires}",
        "fake-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp313-cp313-{tag}\n",
    }
    record = "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items())
    path = folder / f"fake-1.0-cp313-cp313-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, "fake-1.0.dist-info/RECORD": f"{record}fake-1.0.dist-info/RECORD,,\n"}.items():
            wheel.writestr(name, text)
    return Pin("fake", "1.0", (hashlib.sha256(path.read_bytes()).hexdigest(),))


def digest(text: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("tag", ["manylinux_2_24_aarch64", "manylinux2014_aarch64"])
def test_the_targets_wheel_is_installed_alone(installer: list[str], tmp_path: Path, tag: str) -> None:
    write_wheel(tmp_path, "manylinux_2_28_x86_64")
    pin = write_wheel(tmp_path, tag, "Requires-Dist: nowhere-to-be-found\n")
    wheels.fetch_by(installer, [pin], ARM, tmp_path / "tree")
    assert (tmp_path / "tree/fake/__init__.py").read_text() == f"TAG = {tag!r}\n"
    assert not list((tmp_path / "tree").rglob("*.pyc"))


def test_without_a_wheel_for_the_target_the_error_names_it(installer: list[str], tmp_path: Path) -> None:
    pin = write_wheel(tmp_path, "manylinux_2_28_x86_64")
    pin = replace(pin, hashes=(*pin.hashes, *write_wheel(tmp_path, "manylinux_2_39_aarch64").hashes))
    with pytest.raises(UsageError, match=r"fake==1\.0: your package index has no wheel for Python 3\.13 on arm64"):
        wheels.fetch_by(installer, [pin], ARM, tmp_path / "tree")


@pytest.mark.parametrize("hashes", [(), ("0" * 64,)], ids=["no hash", "another"])
def test_bytes_that_are_not_pinned_are_not_installed(
    installer: list[str], tmp_path: Path, hashes: tuple[str, ...]
) -> None:
    write_wheel(tmp_path, "manylinux2014_aarch64")
    with pytest.raises(PackageError, match=r"fake==1\.0: your package index has other bytes than the pinned hashes"):
        wheels.fetch_by(installer, [Pin("fake", "1.0", hashes)], ARM, tmp_path / "tree")
    assert not (tmp_path / "tree/fake").exists()


@pytest.mark.parametrize(
    ("retries", "error", "text"),
    [
        ("1", MachineError, "the package index does not answer"),
        ("0", UsageError, "your package index has no wheel for .*, or does not answer"),  # pip does not say
    ],
)
def test_an_index_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: str, error: type[Exception], text: str
) -> None:
    pytest.importorskip("pip")
    closed = "http://127.0.0.1:9/simple"
    for name, value in {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": closed, "PIP_RETRIES": retries}.items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(error, match=text):
        wheels.fetch_by(wheels.pip_command(ARM), [PIN], ARM, tmp_path / "tree")


def test_what_an_installer_says_of_anything_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="the wheels were not installed: disk full"):
        wheels.fetch_by(["sh", "-c", "echo disk full >&2; exit 1"], [PIN], ARM, tmp_path)


def test_an_installer_is_found_here() -> None:
    assert "install" in wheels.installer(ARM)


def test_pins_are_read_with_comments_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("# why\n\nnumpy==2.4.6\norjson==3.13.0  # fast\n")
    assert wheels.read_pins(tmp_path / "r.txt") == [Pin("numpy", "2.4.6"), Pin("orjson", "3.13.0")]


def test_pins_are_read_with_all_of_their_hashes(tmp_path: Path) -> None:
    one, other = "1" * 64, "a" * 64
    text = f"a==1 ; python_full_version < '3.13' \\\n    --hash=sha256:{one} \\\n    --hash=sha256:{other}\nb==2\n"
    (tmp_path / "r.txt").write_text(text)
    pins = wheels.read_pins(tmp_path / "r.txt")
    assert pins == [Pin("a", "1", (one, other)), Pin("b", "2")]
    (tmp_path / "r.txt").write_text("".join(f"{pin.to_line()}\n" for pin in pins))
    assert wheels.read_pins(tmp_path / "r.txt") == pins


@pytest.mark.parametrize(
    "line", ["numpy", "numpy>=2", "numpy==2.*", "--index-url x", "numpy == 2", "a==1; b", "a==1 --hash=md5:0"]
)
def test_what_is_not_pinned_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.txt").write_text(f"{line}\n")
    with pytest.raises(MachineError, match=r"expected lines like numpy==2\.4\.6, got"):
        wheels.read_pins(tmp_path / "r.txt")


def test_a_missing_file_of_pins_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No such file"):
        wheels.read_pins(tmp_path / "r.txt")
