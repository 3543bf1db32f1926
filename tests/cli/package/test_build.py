import json
import platform
import sys
import zipfile
from pathlib import Path

import pytest

from onnxlet_cli.assets import functions_folder
from onnxlet_cli.package.archive import END_BYTES, OURS
from onnxlet_cli.package.build import Options, Package, build
from onnxlet_cli.package.target import MACHINES, Target
from onnxlet_publishing.errors import MachineError, UsageError
from tests.cli.package.installed import copy_installed
from tests.helpers import forked

PYTHON = "{}.{}".format(*sys.version_info)
ARCH = next(name for name, machine in MACHINES.items() if machine == platform.machine())
HERE = Target("aws", ARCH, PYTHON)


def silent(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(HERE, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def package(options: Options) -> Package:
    """Lambda's package for this machine."""
    return build(options, silent, copy_installed)


@pytest.fixture(scope="module")
def content(package: Package) -> dict[str, bytes]:
    with zipfile.ZipFile(package.path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_alone_in_a_clean_interpreter_it_answers_tensors_and_each_type_of_image_and_says_why(package: Package) -> None:
    assert package.unproven is None
    assert package.proof is not None
    assert package.proof.requests == 8
    assert package.proof.engine == "c"
    assert package.proof.from_source == 0


def test_it_is_the_functions_and_what_they_load(content: dict[str, bytes]) -> None:
    roots = {name.partition("/")[0] for name in content if ".dist-info" not in name}
    assert roots == {
        *{"main.py", "requirements.txt", "__pycache__", "onnxlet"},
        *{"onnxruntime", "obstore", "orjson", "PIL", "pillow.libs"},
    }
    assert {"onnxlet/web/openapi.json", "onnxlet/web/playground/index.html"} <= set(content)
    assert content["main.py"] == (functions_folder() / "main.py").read_bytes()


def test_its_bill_of_materials_names_all_that_it_holds(package: Package) -> None:
    bill = json.loads(package.bill.read_text())
    assert package.bill.name == package.path.name.removesuffix("zip") + "cdx.json"
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": package.sha256}]
    assert {each["name"] for each in bill["components"]} == {part.name for part in package.parts} - {OURS}
    for each in bill["components"]:
        assert each["licenses"]
        assert f"{each['name']}-{each['version']}-" in each["purl"], "which wheel it was"


def test_it_keeps_every_licence(content: dict[str, bytes]) -> None:
    for name in ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt", "onnxruntime/Privacy.md"):
        assert content[name]
    assert any(name.startswith("pillow-") and name.endswith("licenses/LICENSE") for name in content)


def test_it_holds_no_tests_no_other_pythons_bytecode_and_nothing_of_this_machine(
    content: dict[str, bytes], options: Options
) -> None:
    assert not [name for name in content if "/tests/" in name or "INSTALLER" in name or "RECORD" in name]
    modules = {name for name in content if name.endswith(".py")}
    compiled = {name for name in content if "__pycache__" in name}
    assert len(modules) == len(compiled)
    assert {name.split(".")[-2] for name in compiled} == {sys.implementation.cache_tag}
    places = [str(path).encode() for path in (options.out, functions_folder(), Path(sys.prefix), Path.home())]
    assert not [name for name in compiled for place in places if place in content[name]]


def test_it_is_as_small_as_promised(package: Package) -> None:
    assert package.zipped_bytes < 24e6
    assert package.size_bytes < 90e6


def test_its_parts_are_its_distributions_and_all_of_it(package: Package) -> None:
    assert {part.name for part in package.parts} == {"onnxruntime", "obstore", "pillow", "orjson", "onnxlet"}
    assert sum(part.zipped_bytes for part in package.parts) == package.zipped_bytes - END_BYTES
    assert package.left_out["the engine calls only the library"] > 20e6


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_with_text_it_answers_a_text_and_stays_small(tmp_path: Path, cloud: str) -> None:
    package = build(Options(Target(cloud, ARCH, PYTHON), tmp_path, extras=("text",)), silent, copy_installed)
    assert package.proof is not None
    assert package.proof.requests == 9
    assert package.zipped_bytes < (24e6 if cloud == "aws" else 4e6)
    with zipfile.ZipFile(package.path) as archive:
        names = archive.namelist()
    assert "tokenizers/tokenizers.abi3.so" in names
    assert not [name for name in names if name.startswith(("huggingface_hub", "tokenizers/tools", "requirements-text"))]
    bill = json.loads(package.bill.read_text())
    assert {"tokenizers", "onnxruntime"} <= {each["name"] for each in bill["components"]}


def test_an_unknown_addition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--with speech: expected some of text"):
        build(Options(HERE, tmp_path, extras=("speech",)), silent)


def test_nothing_but_the_zip_and_its_bill_stays(package: Package, options: Options) -> None:
    assert set(options.out.iterdir()) == {package.path, package.bill}


def test_gcps_is_the_source_alone_with_its_requirements_and_the_same_each_time(tmp_path: Path) -> None:
    packages = [build(Options(Target("gcp", "x86_64", "3.99"), tmp_path / name), silent) for name in ("a", "b/c")]
    assert packages[0].path.read_bytes() == packages[1].path.read_bytes()
    with zipfile.ZipFile(packages[0].path) as archive:
        names = set(archive.namelist())
    assert {"main.py", "requirements.txt", "onnxlet/web/app.py"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".so"))]
    assert packages[0].unproven is not None


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_relative_folder_is_as_good_as_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: str
) -> None:
    monkeypatch.chdir(tmp_path)
    package = build(Options(Target(cloud, ARCH, PYTHON), Path("dist/zips")), silent, copy_installed)
    assert package.unproven is None
    assert package.proof is not None
    assert package.path == Path("dist/zips") / package.path.name
    assert set((tmp_path / "dist/zips").iterdir()) == {tmp_path / package.path, tmp_path / package.bill}


def test_for_another_processor_there_is_bytecode_or_a_warning_and_no_proof(tmp_path: Path) -> None:
    other = next(arch for arch in MACHINES if arch != ARCH)
    package = build(Options(Target("aws", other, "3.99"), tmp_path), silent, lambda *_: None)
    assert package.proof is None
    reason = f"this machine is {platform.machine()}, and the package is for {MACHINES[other]}"
    only = "; there is an emulator for Python 3.11 and 3.13 only"  # of arm64, on x86_64
    assert package.unproven == reason + (only if other == "arm64" else "")
    (warning,) = package.warnings
    assert warning.startswith(
        "no bytecode, so that imports take 2.5 to 3.5 times as long: this machine has neither python3.99"
    )


def test_options_of_lambda_are_refused_for_gcp(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"GCP's buildpack installs all of requirements\.txt"):
        build(Options(Target("gcp", "x86_64", PYTHON), tmp_path, without=("pillow",)), silent)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot be written: Not a directory"):
        build(Options(HERE, tmp_path / "file" / "out"), silent)


def test_when_it_fails_nothing_stays(tmp_path: Path) -> None:
    def unreachable(*_: object) -> None:
        raise MachineError("the package index does not answer")

    with pytest.raises(MachineError, match="does not answer"):
        build(Options(HERE, tmp_path), silent, unreachable)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = forked.run(["package", "--cloud", "aws", "--arch", "riscv64"], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "onnxlet: --arch riscv64: expected arm64 or x86_64\n"
