"""Formats that are not ONNX: the error has the lines that export them."""

import json
from pathlib import Path

import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find
from tests.helpers import graphs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "m.pt",
            ['torch.load("{file}"', 'torch.onnx.export(model, (example_input,), "m.onnx"', "yolo export model={file}"],
        ),
        ("m.pth", ["PyTorch's own format"]),
        ("m.h5", ['keras.saving.load_model("{file}")', 'model.export("m.onnx", format="onnx")']),
        ("m.keras", ["Keras's own format"]),
        ("m.pkl", ['skl2onnx.to_onnx(joblib.load("{file}"), first_rows)', 'pathlib.Path("m.onnx").write_bytes']),
        ("m.joblib", ["a pickled model of Python"]),
        (
            "model.safetensors",
            ["optimum-cli export onnx --model ORG/NAME model-onnx"],
        ),
        ("m.gguf", ["cannot be converted", "optimum-cli export onnx --model ORG/NAME m-onnx"]),
        ("m.tflite", ["python -m tf2onnx.convert --tflite {file} --output m.onnx"]),
        ("m.ort", ["publish the .onnx file of which it was made"]),
    ],
)
def test_a_file_of_another_format_is_refused_with_the_lines_that_export_it(
    tmp_path: Path, name: str, words: list[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(b"weights")
    for what in [file] if file.suffix == ".ort" else [file, tmp_path]:
        with pytest.raises(UsageError) as caught:
            find(str(what))
        said = str(caught.value)
        assert said.startswith(f"{file}: expected an .onnx file, got ")
        for word in words:
            assert word.format(file=file, folder=tmp_path) in said


def test_a_saved_model_is_refused_with_the_lines_that_export_it(tmp_path: Path) -> None:
    folder = tmp_path / "flowers"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    with pytest.raises(UsageError, match=r"tf2onnx\.convert --saved-model .*flowers --output flowers\.onnx"):
        find(str(folder))


def test_weights_next_to_an_onnx_file_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "m.onnx").write_bytes(graphs.sums().SerializeToString())
    assert [source.name for source in find(str(tmp_path))] == ["m"]


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "tf_model.h5", "optimizer.pt"])
@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForTokenClassification", "token-classification"),
        ("SegformerForSemanticSegmentation", "semantic-segmentation"),
        ("GPT2LMHeadModel", "TASK"),
    ],
)
def test_weights_in_hugging_faces_form_are_exported_by_optimum(
    tmp_path: Path, name: str, architecture: str, task: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (tmp_path / name).write_bytes(b"weights")
    command = (
        rf"got weights without a graph; .*optimum-cli export onnx --model {tmp_path} --task {task} {tmp_path}-onnx"
    )
    with pytest.raises(UsageError, match=command):
        find(str(tmp_path))


def test_a_model_of_sentence_transformers_is_exported_by_itself(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(UsageError, match=r'SentenceTransformer\(".*", backend="onnx", .*save_pretrained\(".*-onnx"\)'):
        find(str(tmp_path))
