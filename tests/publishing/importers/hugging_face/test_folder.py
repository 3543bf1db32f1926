"""Folders in Hugging Face's form: which they are, and which of their files is the model."""

from pathlib import Path
from typing import Any

import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.hugging_face.folder import Folder, choose_file
from tests.helpers.hugging_face import encoder, write_folder

VECTORS = encoder(("last_hidden_state", None))


@pytest.mark.parametrize(
    ("paths", "requested", "chosen"),
    [
        (["model.onnx", "config.json", "onnx/model.onnx"], None, "model.onnx"),
        (["onnx/model_quantized.onnx", "onnx/model.onnx"], None, "onnx/model.onnx"),
        (["onnx/model_quantized.onnx"], None, "onnx/model_quantized.onnx"),
        (["onnx/model_quantized.onnx", "onnx/model.onnx"], "onnx/model_quantized.onnx", "onnx/model_quantized.onnx"),
        (["other/model.onnx", "net.onnx"], None, "net.onnx"),
    ],
)
def test_the_usual_file_is_chosen_unless_another_is_named(paths: list[str], requested: str | None, chosen: str) -> None:
    assert choose_file(paths, requested, "hf:a/b") == chosen


@pytest.mark.parametrize(
    ("paths", "requested", "words"),
    [
        ([], None, "hf:a/b: expected an .onnx file, got none; .*optimum-cli export onnx --model a/b exported"),
        (["encoder_model.onnx", "decoder_model.onnx"], None, "got decoder_model.onnx, encoder_model.onnx: .*--file"),
        (["model.onnx"], "model_int8.onnx", "--file model_int8.onnx: expected one of model.onnx, got no such file"),
    ],
)
def test_without_one_file_the_error_says_what_to_do(paths: list[str], requested: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_file(paths, requested, "hf:a/b")


def test_a_folder_is_one_model_named_after_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "All MiniLM", VECTORS, file="onnx/model.onnx")
    (source,) = find(str(folder))
    assert (source.name, source.origin, source.folder) == ("all-minilm", "All MiniLM/onnx/model.onnx", folder)
    assert find(str(folder / "onnx/model.onnx")) == [source]


def test_a_folder_of_the_cache_is_named_after_its_repository(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "models--org--MiniLM/snapshots/0123abcd", VECTORS)
    (source,) = find(str(folder))
    assert source.name == "minilm"


def test_the_choice_among_several_files_is_said(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", VECTORS, file="onnx/model.onnx")
    write_folder(folder, VECTORS, file="onnx/model_int8.onnx")
    (source,) = find(str(folder))
    assert read(source).lines[1] == "file: model.onnx (the usual one of 2 ONNX files; --file)"
    (source,) = find(str(folder), "onnx/model_int8.onnx")
    assert not any(line.startswith("file:") for line in read(source).lines)


def test_another_config_does_not_describe_a_model(tmp_path: Path) -> None:
    write_folder(tmp_path, VECTORS, file="a.onnx")
    for text in ('{"epochs": 3}', "not JSON", "[]"):
        (tmp_path / "config.json").write_text(text)
        (source,) = find(str(tmp_path))
        assert (source.name, source.folder) == ("a", None)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = Folder(write_folder(tmp_path, VECTORS))
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(UsageError, match=r"tokenizer_config\.json: expected JSON, got"):
        folder.read("tokenizer_config.json")
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(UsageError, match=r"tokenizer_config\.json: expected a JSON object, got \[1\]"):
        folder.read("tokenizer_config.json")


def test_the_transformers_own_folder_is_found(tmp_path: Path) -> None:
    modules = [{"idx": 0, "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]
    folder = write_folder(tmp_path, VECTORS, modules=modules, transformer={"model_type": "mpnet"})
    (folder / "0_Transformer").mkdir()
    (folder / "transformer.json").rename(folder / "0_Transformer/config.json")
    assert Folder(folder).config == {"model_type": "mpnet"}
    assert Folder(folder).in_transformer("tokenizer.json") == "tokenizer.json"


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        (
            {"config": {"model_type": "bert", "architectures": 5}},
            "architectures: expected a list of texts",
        ),
        ({"modules": [["a"]]}, "modules.json: expected a list of objects"),
        (
            {"modules": [{"type": "Transformer", "path": "a" * 5000}], "sentence_bert_config": []},
            "config.json: expected",
        ),
    ],
)
def test_a_folder_with_values_in_another_form_is_refused(
    tmp_path: Path, documents: dict[str, Any], problem: str
) -> None:
    (source,) = find(str(write_folder(tmp_path / "a", VECTORS, **documents)))
    with pytest.raises(UsageError, match=problem):
        read(source)
