"""Sizes that a client chooses: 0 is refused wherever a tensor enters, and no size alone makes a long loop."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxlet.events import objects
from onnxlet.events.messages import Inline, Message
from onnxlet.http import Request
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs

NPY = {"content-type": "application/x-npy"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("sizes").as_uri()
    registry = Registry(open_store(root))
    free: list[int | str] = ["batch", "t", "f"]
    doubled = graphs.model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", TensorProto.FLOAT, free)],
        [("y", TensorProto.FLOAT, free)],
    )
    for candidate in (
        graphs.candidate("doubled", doubled),
        graphs.candidate("any", graphs.any_rank()),
        graphs.candidate("line", graphs.identity(TensorProto.FLOAT)),
        graphs.candidate("texts", graphs.identity(TensorProto.STRING)),
        graphs.candidate("sums", graphs.sums()),
        graphs.candidate("nothing", declared_zero()),
        graphs.digits_candidate(),
        graphs.halves_candidate(),
    ):
        publish(registry, candidate)
    return root


@pytest.fixture(scope="module")
def app(root: str) -> App:
    return App(Settings(root), write_line=lambda _line: None)


def declared_zero() -> Any:
    """A model that declares a dimension of 0 itself, FP32 (n, 0)."""
    shape: list[int | str] = ["n", 0]
    return graphs.model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, shape)],
    )


def post(path: str, document: Any) -> Request:
    return Request("POST", path, json.dumps(document).encode(), {"content-type": "application/json"})


def v2(model: str, shape: list[int], datatype: str = "FP32") -> Request:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": []}
    return post(f"/v2/models/{model}/infer", {"inputs": [tensor]})


def v2_binary(model: str, shape: list[int]) -> Request:
    tensor = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": 0}}
    header = json.dumps({"inputs": [tensor]}).encode()
    return Request("POST", f"/v2/models/{model}/infer", header, {HEADER_LENGTH: str(len(header))})


def npy_file(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


EMPTY = {
    "JSON": v2("doubled", [0, 32, 1]),
    "JSON in the middle": v2("doubled", [1, 0, 1]),
    "JSON at the end": v2("doubled", [1, 1, 0]),
    "JSON of a size near the bound": v2("doubled", [1, 2**31, 0]),
    "JSON whose product overflows": v2("doubled", [2**31, 2**31, 0]),
    "JSON of any rank": v2("any", [0]),
    "JSON of any rank, all 0": v2("any", [0] * 64),
    "texts": v2("texts", [0], "BYTES"),
    "binary": v2_binary("doubled", [0, 4, 4]),
    "raw": Request("POST", "/v2/models/line/infer", b"", {HEADER_LENGTH: "0"}),
    "npy": Request("POST", "/predict/doubled", npy_file((0, 32, 1)), NPY),
    "npy of 2**39 rows": Request("POST", "/predict/doubled", npy_file((1, 2**39, 0)), NPY),
    "npy without the rows": Request("POST", "/predict/doubled", npy_file((2**39, 0)), NPY),
    "npy of pixels": Request("POST", "/predict/digits", npy_file((0, 28, 28, 1), "|u1"), NPY),
    "npy of pixels without width": Request("POST", "/predict/digits", npy_file((28, 0, 1), "|u1"), NPY),
    "rows": post("/v1/models/doubled:predict", {"instances": [[[]]]}),
    "rows of a payload": post("/predict/doubled", [[[], []]]),
    "rows among others": post("/v1/models/doubled:predict", {"instances": [[[1.0]], [[]]]}),
    "columns": post("/v1/models/doubled:predict", {"inputs": []}),
    "columns by name": post("/v1/models/doubled:predict", {"inputs": {"x": [[], []]}}),
    "direct": post("/invocations", {"model": "doubled", "instances": [[]]}),
    "explain pixels": Request("POST", "/v2/models/digits/explain", npy_file((1, 0, 28, 1), "|u1"), NPY),
    "a declared 0 beside a size of 2**31": v2("nothing", [2**31, 0]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_dimension_of_0_is_a_400_that_names_the_input(app: App, name: str) -> None:
    response = app.handle(EMPTY[name])
    document = json.loads(response.body)
    assert (response.status, document.get("code")) == (400, "invalid_tensor"), response.body[:200]
    assert document["error"].startswith(('input "x": ', 'input "images": ', 'input "input": ')), document


def test_an_explanation_of_no_row_is_a_400(app: App) -> None:
    response = app.handle(Request("POST", "/v2/models/halves/explain", npy_file((0, 1)), NPY))
    assert (response.status, json.loads(response.body)["error"]) == (400, "expected one row, got 0")


def test_a_dimension_of_0_that_the_model_declares_is_taken(app: App) -> None:
    response = app.handle(v2("nothing", [3, 0]))
    assert (response.status, json.loads(response.body)["outputs"][0]["shape"]) == (200, [3, 0])


def test_an_empty_object_does_not_hide_among_the_rows_of_others(root: str, tmp_path: Path) -> None:
    results = (tmp_path / "results").as_uri()
    good = npy_file((1, 2, 1)) + np.ones(2, np.float32).tobytes()
    message = Message(
        None,
        tuple(
            Inline(f"topic/{name}", name, body, "application/x-npy")
            for name, body in {"good": good, "evil": npy_file((0, 2, 1)), "other": good}.items()
        ),
    )
    lines: list[Any] = []
    objects.answer(Service(Settings(root, "doubled", results)), [message], lines.append)
    assert {line["source"]: line["code"] for line in lines} == {
        "topic/good": None,
        "topic/evil": "invalid_tensor",
        "topic/other": None,
    }


LIMITED = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)
from onnxlet.web.app import App
from onnxlet.settings import Settings
from tests.hostile.test_sizes import EMPTY
app = App(Settings(sys.argv[1], timeout_s=3), write_line=lambda line: None)
print(json.dumps([app.handle(request).status for request in EMPTY.values()]))
"""


def test_no_empty_tensor_takes_the_memory_of_its_sizes(root: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, root], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(json.loads(done.stdout.splitlines()[-1])) == {400}
