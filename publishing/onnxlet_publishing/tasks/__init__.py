"""Graphs of tasks: what comes before and after a model, made from the declaration of its task."""

from collections.abc import Callable
from importlib import import_module

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks import FAMILIES
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import GraphForm

Build = Callable[[Declaration, OnnxFile, ImagePreprocess | None], list[GraphForm]]


def task_graphs(task: Declaration, model: OnnxFile, preprocess: ImagePreprocess | None = None) -> list[GraphForm]:
    """Return the graphs of a task, which the function `build` of its family's module makes.

    Raises:
        ModelError: The declaration does not fit the model's tensors.
    """
    build: Build = import_module(f"onnxlet_publishing.tasks.{FAMILIES[task.name]}").build
    return build(task, model, preprocess)
