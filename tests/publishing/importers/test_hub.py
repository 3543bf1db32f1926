"""Repositories of the Hugging Face Hub: only the files that are needed, and an error for what cannot be had."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from onnxlet_publishing.errors import AccountError, CommandError, MachineError, UsageError
from onnxlet_publishing.importers.hub import Download, download
from tests.helpers import hub as local_hub
from tests.helpers.hub import COMMIT, Hub
from tests.helpers.hugging_face import encoder, write_folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A repository with two graphs, one of which has its weights in another file, and weights of PyTorch."""
    folder = write_folder(tmp_path / "hub/org/Mini LM", encoder(("last_hidden_state", None)), file="onnx/model.onnx")
    folder = folder.rename(folder.with_name("MiniLM"))
    for name in ("onnx/model.onnx_data", "onnx/model_int8.onnx", "model.safetensors", "pytorch_model.bin"):
        (folder / name).write_bytes(b"weights")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text("{}")
    (tmp_path / "hub/org/torch").mkdir()
    (tmp_path / "hub/org/torch/model.safetensors").write_bytes(b"weights")
    with local_hub.serve(tmp_path / "hub") as hub:
        yield hub


def fetch(hub: Hub, reference: str, file: str | None = None) -> Download:
    return download(reference, file, hub.url, hub.folder.parent / "cache")


def test_only_the_graph_and_the_files_that_describe_it_are_downloaded(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetched = fetch(hub, "hf:org/MiniLM")
    assert sorted(hub.requested) == [
        "1_Pooling/config.json",
        "config.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert fetched.origin == f"hf:org/MiniLM@{COMMIT}/onnx/model.onnx"
    assert (fetched.folder / fetched.file).is_file()
    assert fetched.others == 1
    assert hub.tokens == {"Bearer hf_secret"}


def test_what_is_in_the_cache_is_not_downloaded_again(hub: Hub) -> None:
    first = fetch(hub, "hf:org/MiniLM@v1")
    hub.requested.clear()
    assert fetch(hub, "hf:org/MiniLM") == first
    assert hub.requested == []


def test_another_graph_is_downloaded_if_it_is_named(hub: Hub) -> None:
    assert fetch(hub, "hf:org/MiniLM", "onnx/model_int8.onnx").file == "onnx/model_int8.onnx"
    assert "onnx/model.onnx" not in hub.requested


@pytest.mark.parametrize(
    ("reference", "error", "words"),
    [
        ("hf:org/nothing", UsageError, "the hub has no such repository, or it is private: .*HF_TOKEN"),
        ("hf:org/gated", AccountError, "expected a repository to which you have access: .* page of org/gated"),
        ("hf:org/MiniLM@v9", UsageError, "expected a branch, a tag or a commit, got 'v9'"),
        ("hf:a/b/c", UsageError, "expected hf:ORG/NAME or hf:ORG/NAME@REVISION"),
        ("hf:org/torch", UsageError, "expected an .onnx file, got none; .*optimum-cli export onnx --model org/torch"),
    ],
)
def test_what_cannot_be_had_is_an_error_that_says_what_to_do(
    hub: Hub, reference: str, error: type[CommandError], words: str
) -> None:
    with pytest.raises(error, match=words):
        fetch(hub, reference)


def test_a_named_file_that_is_not_there_is_refused(hub: Hub) -> None:
    with pytest.raises(UsageError, match=r"--file model\.onnx: expected one of onnx/model\.onnx, onnx/"):
        fetch(hub, "hf:org/MiniLM", "model.onnx")


def test_without_a_hub_the_cache_answers_or_the_error_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match=r"cannot be reached, and the files are not in the cache: .*OFFLINE"):
        download("hf:org/MiniLM", None, "http://127.0.0.1:9", hub.folder.parent / "cache")
    first = fetch(hub, "hf:org/MiniLM@main")
    hub.requested.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    again = download("hf:org/MiniLM", None, "http://127.0.0.1:9", hub.folder.parent / "cache")
    assert (again.origin, again.folder) == (first.origin, first.folder)
