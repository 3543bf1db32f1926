"""The importer of models in Hugging Face's form: folders of transformers, Optimum and sentence-transformers."""

from onnxlet_publishing.importers.hugging_face import pictures, sounds, tasks, texts
from onnxlet_publishing.importers.hugging_face.folder import Folder, find_labels, kind_of_inputs
from onnxlet_publishing.importers.settings import Findings, Found
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile


def recognise(source: Source, model: OnnxFile) -> Findings | None:
    """Return the settings that follow from the folder's files.

    Raises:
        UsageError: A file of the folder is not what Hugging Face's libraries write.
    """
    if source.folder is None:
        return None
    folder = Folder(source.folder)
    kind, task = kind_of_inputs(model), tasks.find_task(folder, model)
    settings: dict[str, Found] = {} if task is None else {"task": task, **find_labels(folder)}
    if kind == "text":
        settings |= texts.find_settings(folder, model)
    elif kind == "picture":
        settings |= pictures.find_settings(folder, model, None if task is None else task.value)
    elif kind == "sound":
        settings |= sounds.find_settings(folder)
    return Findings(folder.describe(), settings, texts.advise(folder) | pictures.advise(folder))
