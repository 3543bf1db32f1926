"""The wheel, installed with nothing but its dependencies, and used from an empty folder."""

import json
import platform
import re
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import numpy as np
import onnx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from onnxlet import __version__
from onnxlet_cli.assets import copy_functions, infra_folder, template_path
from tests.helpers import graphs

ROOT = Path(__file__).parents[1]
ARCH = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

UV = """#!{python}
import sys
sys.path[:0] = {path}
from pathlib import Path
from onnxlet_cli.package.wheels import read_pins
from tests.cli.package.installed import copy_installed
options = dict(zip(sys.argv, sys.argv[1:]))
copy_installed(read_pins(Path(options["--requirement"])), None, Path(options["--target"]))
"""
"""A `uv` that installs what the tests' own environment has: there is no network."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `site-packages` of a new environment with the wheel and its dependencies; the command is in its `bin`."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True, check=True)
    venv.create(folder / "venv", symlinks=True)
    site = folder / f"venv/lib/python{PYTHON}/site-packages"
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as wheel:
        wheel.extractall(site)
    installed = PathDistribution(next(site.glob("onnxlet-*.dist-info")))
    for name in dependencies(installed):
        link(name, site)
    (script,) = installed.entry_points.select(group="console_scripts")
    write_script(
        folder / "venv/bin" / script.name,
        f"#!{folder}/venv/bin/python\nfrom {script.module} import {script.attr}\n{script.attr}()\n",
    )
    return site


@dataclass(frozen=True)
class Command:
    """The installed command in a folder, without an account of any cloud."""

    executable: Path
    folder: Path
    tools: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.executable), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @contextmanager
    def serving(self, cloud: str) -> Iterator[str]:
        command = [str(self.executable), "serve", "--cloud", cloud, "--port", "0"]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                yield re.findall(r"http://\S+", process.stdout.readline())[0]
            finally:
                process.terminate()

    def environment(self) -> dict[str, str]:
        no_account = {"AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true", "GCE_METADATA_HOST": "127.0.0.1:9"}
        return {**no_account, "PATH": f"{self.tools}:/usr/bin:/bin", "HOME": str(self.tools), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def onnxlet(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command in a folder that has nothing but a model and a payload."""
    folder, tools = tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("tools")
    write_script(tools / "uv", UV.format(python=sys.executable, path=sys.path))
    onnx.save(graphs.classifier(), folder / "model.onnx")
    image = {"name": "input", "shape": [1, 28, 28, 1], "datatype": "FP32", "data": [0.5] * 28 * 28}
    (folder / "rows.json").write_text(json.dumps({"inputs": [image]}))
    return Command(site.parents[2] / "bin/onnxlet", folder, tools)


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def dependencies(package: Distribution, extras: frozenset[str] = frozenset()) -> set[str]:
    """The names of the distributions that one needs with these extras."""
    found: set[str] = set()
    for requirement in map(Requirement, package.requires or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            name = canonicalize_name(requirement.name)
            found |= {name, *dependencies(distribution(name), frozenset(requirement.extras))}
    return found


def link(name: str, site: Path) -> None:
    """Let a distribution of this environment be in another one as well."""
    for file in distribution(name).files or []:
        if ".." not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).symlink_to(Path(str(file.locate())).resolve())


def test_its_packages_have_our_name_and_are_typed(site: Path) -> None:
    record = next(site.glob("onnxlet-*.dist-info/RECORD")).read_text()
    tops = {line.partition("/")[0] for line in record.splitlines()} - {f"onnxlet-{__version__}.dist-info"}
    assert tops == {"onnxlet", "onnxlet_publishing", "onnxlet_training", "onnxlet_cli"}
    assert all((site / top / "py.typed").exists() for top in tops)


def test_it_has_a_home_and_names_the_pythons_that_it_runs_on(site: Path) -> None:
    metadata = PathDistribution(next(site.glob("onnxlet-*.dist-info"))).metadata
    assert metadata["Project-URL"] == "Homepage, https://github.com/onnxlet/onnxlet"
    named = {text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", []) if "Python :: 3." in text}
    assert named == {"3.11", "3.12", "3.13"}


@pytest.mark.parametrize("words", [["bin/onnxlet", "--version"], ["bin/python", "-m", "onnxlet", "-V"]])
def test_the_version(site: Path, words: list[str]) -> None:
    program, *arguments = words
    done = subprocess.run([site.parents[2] / program, *arguments], capture_output=True, text=True)
    assert done.stdout == f"onnxlet {__version__}\n", done.stderr


def test_a_model_is_published_listed_and_answers(onnxlet: Command) -> None:
    assert onnxlet("publish", "model.onnx", "--name", "published").stdout.endswith("published version 1 is live\n")
    rows = json.loads(onnxlet("models", "--json").stdout)
    assert [row["versions"] for row in rows if row["model"] == "published"] == [[1]]
    answer = json.loads(onnxlet("predict", "published", "rows.json", "--json").stdout)
    assert (answer["model_version"], np.shape(answer["outputs"][0]["data"])) == ("1", (graphs.CLASSES,))


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_it_serves(onnxlet: Command, cloud: str) -> None:
    onnxlet("publish", "model.onnx")
    with onnxlet.serving(cloud) as url, urllib.request.urlopen(f"{url}/v2/models/model", timeout=60) as response:
        assert json.load(response)["name"] == "model"


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_it_packages_what_a_checkout_does(onnxlet: Command, cloud: str, tmp_path: Path) -> None:
    copy_functions(tmp_path)
    options = ["--arch", ARCH, "--without", "pillow"] if cloud == "aws" else []
    done = onnxlet("package", "--cloud", cloud, "--python", PYTHON, *options, "--json")
    document = json.loads(done.stdout)
    assert document["proof"] is not None, document["unproven"]
    with zipfile.ZipFile(onnxlet.folder / document["path"]) as package:
        ours = {name for name in package.namelist() if re.match(r"[^/]+$|onnxlet/", name) and not name.endswith(".pyc")}
        packaged = {name: package.read(name) for name in ours if (tmp_path / name).exists() or cloud == "gcp"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert packaged == {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(("cloud", "words"), [("aws", "run `aws configure`"), ("gcp", "no GCP region: give --region")])
def test_a_deployment_without_an_account_says_what_to_do(onnxlet: Command, cloud: str, words: str) -> None:
    done = onnxlet("deploy", "--plan", "--cloud", cloud, "--model", "model.onnx")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_the_doctor_finds_nothing_wrong(onnxlet: Command) -> None:
    done = onnxlet("doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Nothing is wrong" in done.stdout


def test_deployments_work_on_copies_in_the_current_folder(site: Path, tmp_path: Path) -> None:
    old = tmp_path / ".onnxlet/deploy/infra/gcp/removed.tf"
    old.parent.mkdir(parents=True)
    old.touch()
    values = old.with_name("terraform.tfvars")
    values.touch()
    program = "from onnxlet_cli.assets import deployment_folder; print(deployment_folder())"
    python = site.parents[2] / "bin/python"
    done = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / ".onnxlet/deploy", done.stderr
    assert (folder / "template.yaml").read_bytes() == template_path().read_bytes()
    assert {path.name for path in (folder / "infra/gcp").glob("*.tf")} == {
        path.name for path in (infra_folder() / "gcp").glob("*.tf")
    }
    assert values.exists()
