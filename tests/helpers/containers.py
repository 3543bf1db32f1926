"""The container's entry point in the folders of both platforms, with a program that records how it was called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import onnxlet_training

PROGRAM = """
import json, os, signal, sys, time
arguments = sys.argv[1:]
run = arguments[arguments.index("--out") + 1]
open(os.path.join(run, "rank-" + os.environ.get("RANK", "none")), "w").close()
shared = {name: value for name, value in os.environ.items() if name.startswith("KERAS_")}
json.dump(os.environ.get("LD_LIBRARY_PATH"), open(os.path.join(run, "loader.json"), "w"))
json.dump(shared, open(os.path.join(run, "keras.json"), "w"))
def stop(number, frame):
    open(os.path.join(run, "saved"), "w").close()
    print("onnxlet: asked to end", file=sys.stderr)
    print("a line that a library writes at its end", file=sys.stderr)
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
json.dump(arguments, open(os.path.join(run, "run.json"), "w"))
open(os.path.join(run, "model.onnx"), "w").close()
os.makedirs(os.path.join(run, "tensorboard"), exist_ok=True)
open(os.path.join(run, "tensorboard", "events"), "w").close()
if "--fast" in arguments and "killed" in arguments:
    os.kill(os.getpid(), signal.SIGKILL)
if "--epochs" in arguments and arguments[arguments.index("--epochs") + 1] == "99":
    time.sleep(60)
if "nope" in arguments:
    print("onnxlet: recipe 'nope': expected one of digits", file=sys.stderr)
    sys.exit(1)
"""
LAUNCHER = """
import json, runpy, sys
split = next(index for index, word in enumerate(sys.argv) if word.endswith("program.py"))
json.dump(sys.argv[1:split], open("torchrun.json", "w"))
sys.argv = sys.argv[split:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
REPOSITORY = Path(onnxlet_training.__file__).parents[1]
START = """
import os, sys
from onnxlet_training.container.__main__ import main
sys.exit(main(sys.argv[2:], os.environ, [sys.executable, sys.argv[1]]))
"""


def start(folder: Path, arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    program = folder / "program.py"
    program.write_text(PROGRAM)
    places = {"SAGEMAKER_ROOT": str(folder / "none"), "DEVICES": str(folder / "dev"), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", START, str(program), *arguments]
    environment = {**os.environ, **places, **environment}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=folder)


def devices(folder: Path, gpus: int) -> None:
    """Make a folder like Linux's `/dev` with this many GPUs, for `start`."""
    (folder / "dev").mkdir()
    for name in ("nvidiactl", *(f"nvidia{index}" for index in range(gpus))):
        (folder / "dev" / name).touch()


def torchrun(folder: Path, arguments: list[str], **environment: str) -> dict[str, str]:
    """Return the options of the entry point's call of `torchrun`, which a package of the same name replaces."""
    launcher = folder / "stand-in/torch/distributed/run.py"
    launcher.parent.mkdir(parents=True)
    for package in (launcher.parent, launcher.parent.parent):
        (package / "__init__.py").touch()
    launcher.write_text(LAUNCHER)
    places = os.pathsep.join((str(folder / "stand-in"), str(REPOSITORY)))
    assert start(folder, arguments, PYTHONPATH=places, **environment).wait(60) == 0
    called = json.loads((folder / "torchrun.json").read_text())
    return {name.removeprefix("--"): value for name, value in batched_in_pairs(called)}


def batched_in_pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))


def run_module(
    folder: Path, arguments: list[str], root: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the image's entry point as the Dockerfile does."""
    command = [sys.executable, "-m", "onnxlet_training.container", *arguments]
    environment = {**os.environ, "SAGEMAKER_ROOT": str(root), "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)


def sagemaker(folder: Path, parameters: dict[str, str]) -> Path:
    root = folder / "ml"
    (root / "input/config").mkdir(parents=True)
    (root / "input/config/hyperparameters.json").write_text(json.dumps(parameters))
    (root / "input/data/training").mkdir(parents=True)
    (root / "input/data/training/mnist.npz").write_bytes(b"")
    return root
