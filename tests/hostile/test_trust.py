"""What a model or a request may never make the function do: unpickle, load code, or read a file of its own."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.errors import ArtifactError
from onnxlet.session import native, python
from tests.helpers import graphs

FUNCTIONS = Path(__file__).parents[2] / "functions"

UNPICKLES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNPICKLING = {"allow_pickle", "load_module", "register_custom_ops_library", "RegisterCustomOpsLibrary", "eval", "exec"}
"""Names by which a file becomes code, in numpy, ONNX Runtime and Python."""


def names(source: str) -> Iterator[str]:
    """All names that a module uses, imports or passes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom():
                yield from ((node.module or "").partition(".")[0], *(alias.name for alias in node.names))
            case ast.Attribute():
                yield node.attr
            case ast.Name():
                yield node.id
            case ast.keyword():
                yield node.arg or ""


@pytest.mark.parametrize("path", sorted(FUNCTIONS.rglob("*.py")), ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_no_file_becomes_code(path: Path) -> None:
    assert not set(names(path.read_text())) & (UNPICKLES | UNPICKLING)


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "np.load(x, allow_pickle=True)", "o.register_custom_ops_library(x)"],
)
def test_what_would_make_it_code_is_found(source: str) -> None:
    assert set(names(source)) & (UNPICKLES | UNPICKLING)


@pytest.fixture(params=[native, python], ids=lambda engine: engine.__name__.rpartition(".")[2])
def engine(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


def with_weights_at(location: str, size_bytes: int) -> onnx.ModelProto:
    """A model whose weights lie in a file."""
    proto = graphs.classifier()
    weights = proto.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(size_bytes))):
        weights.external_data.add(key=key, value=value)
    return proto


@pytest.mark.parametrize(
    "location", ["weights", "./weights", "{folder}/weights", "../weights", "/etc/passwd", "", "\0"]
)
def test_a_graph_never_reads_a_file(
    engine: ModuleType, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_bytes = 4 * graphs.SIDE_PIXELS**2 * graphs.CLASSES
    (tmp_path / "inner").mkdir()
    for folder in (tmp_path, tmp_path / "inner"):
        (folder / "weights").write_bytes(bytes(size_bytes))
    monkeypatch.chdir(tmp_path / "inner")
    proto = with_weights_at(location.format(folder=tmp_path), size_bytes)
    with pytest.raises(ArtifactError):
        engine.Session(proto.SerializeToString())


def test_a_graph_never_names_an_operator_that_onnx_runtime_does_not_bring(engine: ModuleType) -> None:
    proto = graphs.classifier()
    proto.graph.node[0].domain = "elsewhere"
    proto.opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(ArtifactError, match="elsewhere"):
        engine.Session(proto.SerializeToString())
