import gzip
import hashlib
import io
import json
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet.contract import layout
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.commands.edge import edge
from onnxlet_cli.doctor import machine
from onnxlet_cli.doctor.registry import examine
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.edge import npm, runtime
from onnxlet_cli.edge.export import export
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.local.http import Handler, serving
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs, sounds
from tests.helpers.explanations import moods
from tests.helpers.findings import only, wrong

NAMES = ("small.mjs", "small.wasm")
FILES = {name: gzip.compress(name.encode()) for name in NAMES}
"""What stands for the runtime, which has 14 MB."""


def packed(files: dict[str, bytes]) -> bytes:
    """A package, as npm packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


PACKAGE = packed({"dist/a.js": b"a", "package.json": b"{}"})
CHOSEN = npm.Package("tiny", "1.0.0", b64encode(hashlib.sha512(PACKAGE).digest()).decode())


@pytest.fixture
def npm_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Packages(Handler):
        def do_GET(self) -> None:
            is_there = self.path == "/mirror/tiny/-/tiny-1.0.0.tgz"
            self.reply(200 if is_there else 404, PACKAGE if is_there else b"", {})

    with serving(Packages) as url:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{url}/mirror/")
        yield


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    publish(found, graphs.digits_candidate())
    return found


@pytest.fixture(autouse=True)
def small_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
    monkeypatch.setattr(layout, "EDGE_FILES", pins)


def none() -> runtime.Files:
    raise AssertionError("nothing must be fetched")


@pytest.mark.usefixtures("npm_registry")
def test_files_of_a_package_come_from_the_registry_that_the_user_has_set() -> None:
    assert npm.fetch(CHOSEN, ["package.json", "dist/a.js"]) == [b"{}", b"a"]


@pytest.mark.usefixtures("npm_registry")
def test_another_package_than_the_chosen_one_is_refused() -> None:
    with pytest.raises(ServiceError, match="expected SHA-512 other, got"):
        npm.fetch(npm.Package("tiny", "1.0.0", "other"), [])
    with pytest.raises(ServiceError, match="404"):
        npm.fetch(npm.Package("missing", "1.0.0", ""), [])


def test_the_runtime_is_put_into_a_registry_once(registry: Registry) -> None:
    assert not runtime.is_installed(registry.store)
    assert runtime.install(registry.store, lambda: FILES) == FILES
    assert runtime.is_installed(registry.store)
    assert runtime.install(registry.store, none) == FILES


def test_a_forged_runtime_is_found_and_replaced_alone(registry: Registry) -> None:
    runtime.install(registry.store, lambda: FILES)
    first, second = map(layout.edge_key, NAMES)
    forge(registry, first)
    before = registry.store.read(second)
    assert runtime.forged(registry.store) == [first]
    with pytest.raises(AssertionError):
        runtime.install(registry.store, none)
    assert runtime.install(registry.store, lambda: FILES) == FILES
    assert registry.store.read(first).data == FILES[NAMES[0]]
    assert registry.store.read(second) == before
    assert runtime.forged(registry.store) == []


def test_the_command_names_what_was_forged(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtime, "fetch_files", lambda: FILES)
    edge(registry.store.url)
    key = layout.edge_key(NAMES[0])
    assert "warning" not in capsys.readouterr().err
    forge(registry, key)
    edge(registry.store.url, json=True)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["replaced"] == [key]
    assert f"warning: {key}: not the published file of onnxruntime-web" in captured.err


def test_the_doctor_names_what_was_forged(registry: Registry) -> None:
    runtime.install(registry.store, lambda: FILES)
    examination = Examination(machine.pinned_onnxruntime())
    assert wrong(examine(registry, examination)) == []
    key = layout.edge_key(NAMES[1])
    forge(registry, key)
    only(examine(registry, examination), "error", "edge_forged", key, "onnxlet edge")


def forge(registry: Registry, key: str) -> None:
    registry.store.replace(key, gzip.compress(b"alert(1)"), registry.store.read(key).revision)


def test_the_package_is_the_one_that_the_functions_hand_out() -> None:
    assert str(runtime.PACKAGE) == layout.EDGE_RUNTIME


def test_a_folder_holds_the_page_the_runtime_and_the_live_version(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    manifest = export(registry, "digits", folder, lambda: FILES)
    page = (folder / "index.html").read_text()
    assert '<body data-exported="true">' in page
    assert "Nothing that you draw, drop or type leaves this browser." in page
    assert "this function alone" not in page
    assert "openapi.json" not in page, "there is none"
    assert (folder / "playground" / "main.js").exists()
    assert {path.name: path.read_bytes() for path in (folder / "edge").iterdir()} == {
        name: name.encode() for name in NAMES
    }
    assert json.loads((folder / "model" / "example.json").read_bytes())["media_type"] == "image/png"
    stored = json.loads((folder / "model" / "manifest.json").read_bytes())
    assert stored == manifest.to_document()
    for artifact in manifest.artifacts:
        path = folder / "model" / f"{artifact.sha256}.onnx"
        if artifact.format == "onnx":
            assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
        else:
            assert not path.exists()


def test_a_folder_with_something_in_it_and_a_model_that_needs_functions_are_refused(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="expected a new or an empty folder"):
        export(registry, "digits", tmp_path / "full", none)
    publish(registry, graphs.char_candidate())
    with pytest.raises(UsageError, match='model "char" generates'):
        export(registry, "char", tmp_path / "out", none)
    publish(registry, moods())
    publish(registry, sounds.speech_candidate())
    with pytest.raises(UsageError, match='model "moods" takes texts: its tokenizer runs only in the functions'):
        export(registry, "moods", tmp_path / "out", none)
    with pytest.raises(UsageError, match='model "speech" hears speech'):
        export(registry, "speech", tmp_path / "out", none)
