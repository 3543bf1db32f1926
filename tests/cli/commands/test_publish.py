"""`onnxlet publish`: what it decided is said, and a folder is published whole, or with its bad files named."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from onnxlet.contract.declarations import Classification
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.main import app
from onnxlet_publishing.errors import ModelError
from tests.helpers import graphs
from tests.helpers.command import Command, fails, write_classifier
from tests.helpers.heads import INDEPENDENT, LOGITS, PROBABILITIES
from tests.publishing.test_graph_rewrites import normalizer, texts

Publish = Callable[..., Result]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "registry").as_uri(), create=True))


@pytest.fixture
def publish(registry: Registry) -> Publish:
    """Run the command in this process; what it raises is in the result."""

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["publish", *map(str, arguments), "--registry", registry.store.url])

    return run


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    return tmp_path / "labels.txt"


def write(path: Path, data: bytes | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(graphs.sums().SerializeToString() if data is None else data)
    return path


@pytest.mark.parametrize(
    ("data", "activation", "words"),
    [
        (LOGITS["plain"].data, "softmax", "rows gave numbers outside 0 to 1, which are logits"),
        (PROBABILITIES["casts"].data, "none", "rows gave numbers from 0 to 1 that sum to 1, probabilities"),
        (INDEPENDENT["sigmoid"].data, "none", "that do not sum to 1, independent probabilities (sigmoid)"),
    ],
)
def test_what_was_decided_is_said_with_the_reason(
    publish: Publish, registry: Registry, tmp_path: Path, labels: Path, data: bytes, activation: str, words: str
) -> None:
    done = publish(write(tmp_path / "m.onnx", data), "--labels", labels)
    kind, said, live = done.stdout.splitlines()
    assert kind == "m: an ONNX file"
    assert said.startswith(f'm: labels by the output "y", activation {activation}: ')
    assert said.endswith(words)
    assert live == "m version 1 is live"
    assert registry.resolve("m").classification == Classification(("a", "b", "c"), activation)


@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
def test_the_user_has_the_last_word(
    publish: Publish, registry: Registry, tmp_path: Path, labels: Path, activation: str
) -> None:
    model = write(tmp_path / "m.onnx", PROBABILITIES["softmax"].data)
    done = publish(model, "--labels", labels, "--activation", activation, "--json")
    (document,) = json.loads(done.stdout)
    _, note = document["notes"]
    assert ("although 40 of 40" in note) is (activation != "none")
    assert registry.resolve("m").classification == Classification(("a", "b", "c"), activation)
    assert publish(model, "--labels", labels, "--activation", "relu").exit_code == 2


def test_a_head_over_the_wrong_axis_and_labels_that_repeat_are_warned_of(
    publish: Publish, tmp_path: Path, labels: Path
) -> None:
    proto = onnx.load_from_string(PROBABILITIES["softmax"].data)
    proto.graph.node[1].attribute.append(helper.make_attribute("axis", 0))
    labels.write_text("crane\ncrane\nball\n")
    done = publish(write(tmp_path / "m.onnx", proto.SerializeToString()), "--labels", labels)
    assert "warning: m: the numbers of a row depend on the other rows of its batch" in done.stderr
    assert "warning: m: 1 labels name several classes, 'crane' among them" in done.stderr


def test_a_locale_that_was_replaced_is_said(publish: Publish, tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", texts(normalizer(locale="en_US")).SerializeToString())
    kind, said, live = publish(model).stdout.splitlines()
    assert kind == "m: an ONNX file without a known task: requests and answers are tensors (--task)"
    assert said.startswith("m: locale en_US: ")
    assert live == "m version 1 is live"


def test_an_output_that_is_not_a_tensor_is_warned_of(publish: Publish, tmp_path: Path) -> None:
    proto = graphs.sums()
    proto.graph.node.append(helper.make_node("SequenceConstruct", ["x"], ["all"]))
    proto.graph.output.append(helper.make_tensor_sequence_value_info("all", TensorProto.FLOAT, None))
    done = publish(write(tmp_path / "m.onnx", proto.SerializeToString()))
    assert done.stderr == 'warning: m: the output "all" is not a tensor and is not served\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good models, and three that fail in three ways."""
    folder = tmp_path / "models"
    for name in ("a", "e"):
        write(folder / f"{name}.onnx")
    write(folder / "b.onnx", b"I am no model")
    broken = graphs.sums()
    broken.graph.node[0].op_type = "NoSuchOperator"
    write(folder / "c.onnx", broken.SerializeToString())
    write(folder / "D (1).onnx")
    return folder


def test_nothing_of_a_folder_is_published_if_a_file_fails_and_each_is_named(
    publish: Publish, registry: Registry, folder: Path
) -> None:
    done = publish(folder)
    assert isinstance(done.exception, ModelError)
    said = str(done.exception)
    assert said.startswith("nothing was published (--keep-going publishes the rest): 3 of 5 files cannot be served: ")
    for words in ("b.onnx: not an ONNX file", "c.onnx: onnxruntime", "NoSuchOperator", "D (1).onnx: "):
        assert words in said
    assert registry.models() == []


def test_keep_going_publishes_the_others_and_fails_with_the_list(
    publish: Publish, registry: Registry, folder: Path
) -> None:
    done = publish(folder, "--keep-going", "--json")
    assert [row["model"] for row in json.loads(done.stdout)] == ["a", "e"] == registry.models()
    assert done.exit_code == 1
    assert str(done.exception).startswith("3 of 5 files cannot be served: ")
    for file in ("b", "c", "D (1)"):
        (folder / f"{file}.onnx").unlink()
    assert publish(folder, "--keep-going").exit_code == 0
    assert registry.versions("a") == [1, 2]


def test_two_files_with_one_name_are_both_refused(publish: Publish, registry: Registry, folder: Path) -> None:
    write(folder / "A.onnx")
    done = publish(folder, "--keep-going")
    for words in ("5 files", "A.onnx: another file gives the same name 'a'", "a.onnx: another file"):
        assert words.replace("5 files", "5 of 6 files") in str(done.exception)
    assert registry.models() == ["e"]


def test_a_large_folder_reports_each_file(publish: Publish, tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / f"many/m{number}.onnx")
    done = publish(tmp_path / "many", "--stage")
    assert done.stderr.splitlines() == [f"{number + 1}/10 m{number}.onnx" for number in range(10)]
    assert len(done.stdout.splitlines()) == 20


def test_a_folder_is_published_whole_or_not_at_all(onnxlet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    for name in ("a", "b"):
        write_classifier(folder / f"{name}.onnx")
    write_classifier(folder / "c.onnx", op_type="NoSuchOperator")
    fails(onnxlet("publish", "catalogue"), "NoSuchOperator")
    assert json.loads(onnxlet("models", "--json").stdout) == []
    (folder / "c.onnx").unlink()
    assert [row["model"] for row in json.loads(onnxlet("publish", "catalogue", "--json").stdout)] == ["a", "b"]
