"""Foreign formats: what a user brings that is not ONNX, and the two lines that export it."""

from pathlib import Path

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.hugging_face.folder import MODULES, Folder, describes, export_lines
from onnxlet_publishing.importers.hugging_face.tasks import optimum_task

_TORCH = (
    "PyTorch's own format",
    'model = torch.load("{file}", weights_only=False).eval()',
    'torch.onnx.export(model, (example_input,), "{stem}.onnx", dynamo=True)',
)
_KERAS = (
    "Keras's own format",
    'model = keras.saving.load_model("{file}")',
    'model.export("{stem}.onnx", format="onnx")',
)
_PICKLE = (
    "a pickled model of Python",
    'model = skl2onnx.to_onnx(joblib.load("{file}"), first_rows)',
    'pathlib.Path("{stem}.onnx").write_bytes(model.SerializeToString())',
)
WEIGHTS = "weights without a graph"
_WEIGHTS = (
    WEIGHTS,
    "pip install 'optimum-onnx[onnxruntime]'",
    "optimum-cli export onnx --model ORG/NAME {stem}-onnx",
)
_GGUF = (
    "llama.cpp's format, which cannot be converted",
    "pip install 'optimum-onnx[onnxruntime]'",
    "optimum-cli export onnx --model ORG/NAME {stem}-onnx",
)
_TFLITE = (
    "TensorFlow Lite's format",
    "pip install tf2onnx tensorflow",
    "python -m tf2onnx.convert --tflite {file} --output {stem}.onnx",
)
_SAVED_MODEL = (
    "a SavedModel of TensorFlow",
    "pip install tf2onnx tensorflow",
    "python -m tf2onnx.convert --saved-model {file} --output {stem}.onnx",
)
EXPORTS = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".ckpt": _TORCH,
    ".h5": _KERAS,
    ".keras": _KERAS,
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".joblib": _PICKLE,
    ".safetensors": _WEIGHTS,
    ".bin": _WEIGHTS,
    ".gguf": _GGUF,
    ".tflite": _TFLITE,
}
"""The meaning of each suffix, and the two lines that make an ONNX file of it."""

SAVED_MODEL_FILE = "saved_model.pb"
"""The file by which a folder is a SavedModel."""
ULTRALYTICS = "if it is an Ultralytics model: yolo export model={file} format=onnx"


def refuse(path: Path) -> None:
    """Refuse a file or a folder in a format that has to be exported first.

    Raises:
        UsageError: It has such a format; the error names the lines that export it.
    """
    if path.suffix.lower() == ".ort":
        raise UsageError(
            f"{path}: expected an .onnx file, got a graph that ONNX Runtime has optimized: publish the .onnx file of "
            "which it was made; onnxlet makes the optimized forms for the functions itself"
        )
    foreign = path
    if path.is_dir() and not any(path.rglob("*.onnx")):
        foreign = next((file for file in sorted(path.iterdir()) if file.suffix.lower() in EXPORTS), path)
    export = _SAVED_MODEL if (path / SAVED_MODEL_FILE).is_file() else EXPORTS.get(foreign.suffix.lower())
    if export is None:
        return
    if describes(foreign.parent):
        export = _WEIGHTS
    if describes(foreign.parent):
        kind, commands = WEIGHTS, _export_of_folder(Folder(foreign.parent))
    else:
        kind, *lines = export
        commands = "; ".join(line.format(file=foreign, stem=foreign.stem) for line in lines)
    other = f" ({ULTRALYTICS.format(file=foreign)})" if export is _TORCH else ""
    raise UsageError(f"{foreign}: expected an .onnx file, got {kind}; export it first: {commands}{other}")


def _export_of_folder(folder: Folder) -> str:
    path = str(folder.path)
    return export_lines(path, f"{path}-onnx", is_sentence=folder.has(MODULES), task=optimum_task(folder))
