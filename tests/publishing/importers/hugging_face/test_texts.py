"""Folders of texts: the settings that follow from their files, and the declaration that comes of them."""

from pathlib import Path
from typing import Any

import pytest

from onnxlet.contract.tasks.texts import FeatureExtraction, Tokenization
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.assembly import Import
from onnxlet_publishing.importers.settings import Overrides
from tests.helpers.hugging_face import encoder, with_labels, write_folder

VECTORS = ("last_hidden_state", None)
SENTENCE_TRANSFORMERS: dict[str, Any] = {
    "modules": [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "include_prompt": False},
    "sentence_bert_config": {"max_seq_length": 16},
    "config_sentence_transformers": {
        "prompts": {"query": "query: ", "document": ""},
        "default_prompt_name": "query",
        "similarity_fn_name": "cosine",
    },
}


def read_folder(folder: Path, **overrides: Any) -> Import:
    (source,) = find(str(folder))
    return read(source, overrides=Overrides(**overrides))


def task_of(folder: Path, **overrides: Any) -> Any:
    return read_folder(folder, **overrides).candidate.task


def tokenization_of(folder: Path, **overrides: Any) -> Tokenization:
    tokenization: Tokenization = task_of(folder, **overrides).tokenization
    return tokenization


def test_a_folder_of_sentence_transformers_says_how_it_pools_normalizes_and_prompts(tmp_path: Path) -> None:
    imported = read_folder(write_folder(tmp_path / "MiniLM v2", encoder(VECTORS), **SENTENCE_TRANSFORMERS))
    assert imported.candidate.task == FeatureExtraction(
        "feature-extraction",
        Tokenization({name: name for name in ("input_ids", "attention_mask")}, 16, truncates=True, cleans_up=True),
        "last_hidden_state",
        pooling="cls",
        normalize=True,
        prompts={"query": "query: "},
        default_prompt="query",
        pools_prompt=False,
    )
    assert imported.candidate.name == "minilm-v2"
    assert imported.candidate.tokenizer == (tmp_path / "MiniLM v2/tokenizer.json").read_bytes()
    assert imported.lines == (
        "a model of sentence-transformers (Transformer, Pooling, Normalize)",
        "task: feature-extraction (modules.json; --task)",
        "tokenizer: tokenizer.json (in the folder; --tokenizer)",
        "max length: 16 (sentence_bert_config.json; --max-length)",
        "pooling: cls (1_Pooling/config.json; --pooling)",
        "normalize: True (modules.json; --normalize/--no-normalize)",
        "prompts: query (config_sentence_transformers.json)",
    )


def test_every_derived_setting_can_be_overridden(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", encoder(VECTORS), **SENTENCE_TRANSFORMERS)
    task = task_of(folder, pooling="mean", normalize=False, max_length=8)
    assert (task.pooling, task.normalize, task.tokenization.max_length) == ("mean", False, 8)
    with pytest.raises(UsageError, match="--threshold: expected an option that the task feature-extraction uses"):
        read_folder(folder, threshold=0.5)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
    ],
)
def test_the_poolings_of_older_and_newer_versions_are_read(
    tmp_path: Path, config: dict[str, Any], pooling: str
) -> None:
    folder = write_folder(tmp_path, encoder(VECTORS), **{**SENTENCE_TRANSFORMERS, "1_Pooling/config": config})
    assert task_of(folder).pooling == pooling


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"pooling_mode": "weightedmean"}, "got weightedmean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "got mean and max"),
    ],
)
def test_a_pooling_that_is_not_served_is_refused_unless_the_user_names_another(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    folder = write_folder(tmp_path, encoder(VECTORS), **{**SENTENCE_TRANSFORMERS, "1_Pooling/config": config})
    with pytest.raises(UsageError, match=f"--pooling: expected one of none, mean, cls, last, max, {words}"):
        read_folder(folder)
    assert task_of(folder, pooling="mean").pooling == "mean"


def test_a_graph_that_pools_is_not_pooled_again(tmp_path: Path) -> None:
    model = encoder(("token_embeddings", None), ("sentence_embedding", 4))
    folder = write_folder(tmp_path, model, modules=[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}])
    task = task_of(folder)
    assert (task.output, task.pooling, task.normalize) == ("sentence_embedding", "none", False)
    assert task.tokenization.truncates
    task = task_of(folder, pooling="mean")
    assert (task.output, task.pooling) == ("token_embeddings", "mean")


def test_a_module_that_the_graph_lacks_is_refused(tmp_path: Path) -> None:
    further = [*SENTENCE_TRANSFORMERS["modules"], {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}]
    folder = write_folder(tmp_path, encoder(VECTORS), **{**SENTENCE_TRANSFORMERS, "modules": further})
    with pytest.raises(UsageError, match=r"modules\.json: expected only .*, got Dense: export the whole model: "):
        read_folder(folder)


def test_vectors_without_a_declared_pooling_are_averaged_as_sentence_transformers_does(tmp_path: Path) -> None:
    imported = read_folder(write_folder(tmp_path, encoder(VECTORS)))
    assert isinstance(imported.candidate.task, FeatureExtraction)
    assert imported.candidate.task.pooling == "mean"
    assert any(line.startswith("pooling: mean (no modules.json;") for line in imported.lines)


@pytest.mark.parametrize(
    ("config", "tokenizer_config", "expected"),
    [
        ({}, {"model_max_length": 32}, 32),
        ({}, {"model_max_length": 1000000000000000019884624838656}, 64),
        ({}, {"model_max_length": 1e30}, 64),
        ({"model_type": "roberta", "pad_token_id": 1}, {}, 62),
        ({"model_type": "mpnet", "pad_token_id": 1}, {"model_max_length": 512}, 62),
        ({"max_position_embeddings": None}, {"model_max_length": 512}, 512),
    ],
)
def test_the_longest_text_is_the_tokenizers_limit_or_that_of_the_positions(
    tmp_path: Path, config: dict[str, Any], tokenizer_config: dict[str, Any], expected: int
) -> None:
    folder = write_folder(tmp_path, encoder(VECTORS), config, tokenizer_config=tokenizer_config)
    assert tokenization_of(folder).max_length == expected


def test_a_fixed_shape_pads_every_text_to_its_length(tmp_path: Path) -> None:
    tokenization = tokenization_of(write_folder(tmp_path, encoder(VECTORS, length=24)))
    assert (tokenization.max_length, tokenization.padded_length) == (24, 24)


def test_what_the_tokenizer_file_lacks_is_read_from_its_configuration(tmp_path: Path) -> None:
    special = {"pad_token": {"content": "[SEP]", "lstrip": False}}
    folder = write_folder(
        tmp_path,
        encoder(VECTORS),
        tokenizer_config={"model_max_length": 8, "padding_side": "left", "truncation_side": "left"},
        special_tokens_map=special,
    )
    tokenization = tokenization_of(folder)
    assert (tokenization.padding_side, tokenization.truncation_side, tokenization.pad_id) == ("left", "left", 3)
    assert not tokenization.cleans_up


def test_a_vocabulary_without_a_tokenizer_file_is_refused_with_the_lines_that_convert_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, encoder(VECTORS), tokenizer=None)
    with pytest.raises(UsageError, match="--tokenizer: the task feature-extraction needs the model's tokenizer"):
        read_folder(folder)
    (folder / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(UsageError, match=r"got vocab\.txt; .*AutoTokenizer\.from_pretrained\(.*\.save_pretr"):
        read_folder(folder)


def test_a_classifier_has_its_labels_and_its_activation(tmp_path: Path) -> None:
    config = {**with_labels("bad", "good"), "architectures": ["BertForSequenceClassification"]}
    single = read_folder(write_folder(tmp_path / "a", encoder(("logits", 2)), config)).candidate.classification
    assert single is not None
    assert (single.labels, single.activation) == (("bad", "good"), "auto")
    config["problem_type"] = "multi_label_classification"
    multi = read_folder(write_folder(tmp_path / "b", encoder(("logits", 2)), config)).candidate.classification
    assert multi is not None
    assert multi.activation == "sigmoid"


def test_a_head_without_names_has_those_of_transformers(tmp_path: Path) -> None:
    config = {"architectures": ["BertForSequenceClassification"]}
    classification = read_folder(write_folder(tmp_path, encoder(("logits", 2)), config)).candidate.classification
    assert classification is not None
    assert classification.labels == ("LABEL_0", "LABEL_1")


def test_labels_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    config = {"id2label": {"0": "a", "2": "b"}, "architectures": ["BertForSequenceClassification"]}
    with pytest.raises(UsageError, match="id2label: the class 1 of 0 to 1 is missing"):
        read_folder(write_folder(tmp_path, encoder(("logits", 2)), config))


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "none"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, "sigmoid"),
        ({"sentence_transformers": {"version": "4.1.0"}}, "sigmoid"),
        ({}, "sigmoid"),
    ],
)
def test_a_cross_encoder_ranks_with_its_activation(tmp_path: Path, config: dict[str, Any], activation: str) -> None:
    config = {**with_labels("LABEL_0"), "architectures": ["BertForSequenceClassification"], **config}
    task = task_of(write_folder(tmp_path, encoder(("logits", 1)), config))
    assert (task.name, task.activation, task.tokenization.truncates) == ("text-ranking", activation, True)


def test_a_regression_with_one_number_is_not_a_ranking(tmp_path: Path) -> None:
    config = {"architectures": ["BertForSequenceClassification"], "problem_type": "regression"}
    task = task_of(write_folder(tmp_path, encoder(("logits", 1)), {**with_labels("LABEL_0"), **config}))
    assert task.name == "text-classification"


def test_zero_shot_classification_needs_to_be_asked_for_and_finds_the_entailment(tmp_path: Path) -> None:
    config = {
        **with_labels("CONTRADICTION", "NEUTRAL", "ENTAILMENT"),
        "architectures": ["BertForSequenceClassification"],
    }
    folder = write_folder(tmp_path, encoder(("logits", 3)), config)
    assert task_of(folder).name == "text-classification"
    assert "its labels fit zero-shot-classification too" in "".join(read(find(str(folder))[0]).lines)
    assert task_of(folder, task="zero-shot-classification").entailment == 2
    config.update(with_labels("a", "b", "c"))
    with pytest.raises(UsageError, match="expected a label that begins with 'entail', got a, b, c"):
        read_folder(write_folder(tmp_path, encoder(("logits", 3)), config), task="zero-shot-classification")
