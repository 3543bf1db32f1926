"""Two hundred models in a memory that holds twenty: all answer, and the memory stays under its bound."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from onnxlet.contract import layout
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.candidate import Candidate
from tests.helpers import graphs
from tests.helpers.ungated import publish

MODELS = 200
HELD = 20
MODEL_MIB = 3
"""What one of them takes: 2 MiB of weights, and what ONNX Runtime makes of them."""

ASK_ALL = """
import json, random, sys
from pathlib import Path
from onnxlet.web.app import App
from onnxlet.settings import Settings
from onnxlet.http import Request

registry, models, bound_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 512], "data": [1] * 512}]}).encode()

def kibibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

def ask(app, name):
    response = app.handle(Request("POST", f"/v2/models/{name}/infer", body))
    return json.loads(response.body)["outputs"][0]["data"][0] if response.status == 200 else response.body.decode()

ask(App(Settings(registry), lambda line: None), "tiny")  # what the runtime takes once, whatever it loads
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
before = kibibytes("VmRSS")
app = App(Settings(registry, memory_bytes=bound_bytes), lambda line: None)
order = [*range(models), *random.Random(0).sample(range(models), models)]
answers, held = {}, 0
for number in order:
    answers.setdefault(number, set()).add(ask(app, f"m{number}"))
    held = max(held, len(app.service.traffic.models.loaded()))
peak_bytes = (kibibytes("VmHWM") - before) * 1024
print(json.dumps({"answers": {n: sorted(map(str, a)) for n, a in answers.items()}, "held": held, "peak": peak_bytes}))
"""


def linear(value: float) -> Candidate:
    weights = np.full((512, 1024), value / 512, np.float32)
    proto = graphs.model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [("x", TensorProto.FLOAT, ["batch", 512])],
        [("y", TensorProto.FLOAT, ["batch", 1024])],
        {"weights": weights},
    )
    return graphs.candidate(f"m{value:.0f}", proto)


def test_two_hundred_models_answer_in_the_memory_of_twenty(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    publish(registry, graphs.candidate("tiny", graphs.two_inputs()), layout.LIVE)
    for number in range(MODELS):
        publish(registry, linear(number))
    bound_bytes = HELD * MODEL_MIB * 2**20
    command = [sys.executable, "-c", ASK_ALL, tmp_path.as_uri(), str(MODELS), str(bound_bytes)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert found["answers"] == {str(number): [str(float(number))] for number in range(MODELS)}
    assert 10 <= found["held"] < 40
    assert found["peak"] <= bound_bytes
