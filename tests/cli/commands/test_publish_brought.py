"""`onnxlet publish` on what people bring: folders and repositories in Hugging Face's form."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.main import app
from onnxlet_publishing.errors import UsageError
from tests.helpers import hub as local_hub
from tests.helpers.command import Command
from tests.helpers.hub import COMMIT
from tests.helpers.hugging_face import encoder, with_labels, write_folder

SENTIMENT: dict[str, Any] = {"architectures": ["BertForSequenceClassification"], **with_labels("bad", "good")}


def publish(tmp_path: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["publish", *map(str, arguments), "--registry", str(tmp_path / "registry")])


def registry(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "registry").as_uri()))


def test_a_folder_is_published_and_what_was_derived_is_said_with_the_options(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "Sentiment", encoder(("logits", 2)), SENTIMENT)
    lines = publish(tmp_path, folder).stdout.splitlines()
    assert lines[:5] == [
        "sentiment: a model of transformers (BertForSequenceClassification)",
        "sentiment: task: text-classification (config.json, BertForSequenceClassification; --task)",
        "sentiment: tokenizer: tokenizer.json (in the folder; --tokenizer)",
        "sentiment: labels: 2 (bad, good) (config.json, id2label; --labels)",
        "sentiment: max length: 32 (tokenizer_config.json; --max-length)",
    ]
    assert lines[-1] == "sentiment version 1 is live"
    manifest = registry(tmp_path).resolve("sentiment")
    assert manifest.task_name() == "text-classification"
    assert manifest.artifact("tokenizer") is not None
    assert manifest.provenance.source == "Sentiment/model.onnx"


def test_an_option_overrides_what_was_derived(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", encoder(("last_hidden_state", None)))
    done = publish(tmp_path, folder, "--pooling", "cls", "--normalize", "--max-length", "16", "--name", "vectors")
    assert "pooling" not in done.stdout
    task: Any = registry(tmp_path).resolve("vectors").task
    assert (task.pooling, task.normalize, task.tokenization.max_length) == ("cls", True, 16)


def test_an_option_that_the_task_does_not_use_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", encoder(("logits", 2)), SENTIMENT)
    done = publish(tmp_path, folder, "--pooling", "cls")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("--pooling: expected an option that the task text-classification uses")


def test_one_of_several_graphs_is_chosen_by_its_path(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", encoder(("last_hidden_state", None)), file="onnx/model_int8.onnx")
    write_folder(tmp_path / "m", encoder(("logits", 2)), SENTIMENT)
    assert publish(tmp_path, folder, "--file", "onnx/model_int8.onnx", "--json").exit_code == 0
    assert registry(tmp_path).resolve("m").task_name() == "feature-extraction"


@pytest.mark.outside
def test_a_repository_is_published_with_its_commit_also_offline(onnxlet: Command, tmp_path: Path) -> None:
    write_folder(tmp_path / "hub/org/Sentiment", encoder(("logits", 2)), SENTIMENT)
    with local_hub.serve(tmp_path / "hub") as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache")}
        first = onnxlet("publish", "hf:org/Sentiment", "--json", **settings)
    assert json.loads(first.stdout)[0]["model"] == "sentiment"
    source = Registry(open_store((tmp_path / ".onnxlet/registry").as_uri())).resolve("sentiment").provenance.source
    assert source == f"hf:org/Sentiment@{COMMIT}/model.onnx"
    again = onnxlet("publish", "hf:org/Sentiment", "--json", HF_HUB_OFFLINE="1", **settings)
    assert json.loads(again.stdout)[0]["version"] == 2
