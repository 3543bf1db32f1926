"""Tiny folders in Hugging Face's form, whose models are random and whose tokenizers know twelve words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.helpers import graphs

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (*SPECIAL, "the", "weather", "is", "lovely", "today", "in", "paris", "anna", "said")
WIDTH = 8

CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "vocab_size": len(WORDS),
}
TOKENIZER_CONFIG = {
    "model_max_length": 32,
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
    "cls_token": "[CLS]",
    "clean_up_tokenization_spaces": True,
}


def tokenizer() -> dict[str, Any]:
    """Return a `tokenizer.json` that splits at spaces and lowers the case."""
    pair = [("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)]
    pieces = [
        {("Sequence" if name in "AB" else "SpecialToken"): {"id": name, "type_id": type_id}} for name, type_id in pair
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": token,
                **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
                "special": True,
            }
            for number, token in enumerate(SPECIAL)
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": pieces[:3],
            "pair": pieces,
            "special_tokens": {
                token: {"id": token, "ids": [WORDS.index(token)], "tokens": [token]} for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }


def encoder(
    *heads: tuple[str, int | None],
    length: int | str = "tokens",
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
) -> onnx.ModelProto:
    """Return a model of texts: each word has a random vector.

    Args:
        *heads: The name of each output, and the number of its classes for each text; None for the vectors of tokens.
        length: The number of tokens, or the dimension's name.
        inputs: The names of the inputs.
    """
    draw = np.random.default_rng(0)
    weights = {"table": draw.normal(size=(len(WORDS), WIDTH)).astype(np.float32)}
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["vectors"])]
    outputs: list[graphs.Value] = []
    for name, classes in heads:
        if classes is None:
            nodes.append(helper.make_node("Identity", ["vectors"], [name]))
            outputs.append((name, TensorProto.FLOAT, ["batch", length, WIDTH]))
        else:
            weights[f"w_{name}"] = draw.normal(size=(WIDTH, classes)).astype(np.float32)
            nodes.append(helper.make_node("ReduceMean", ["vectors"], [f"mean_{name}"], axes=[1], keepdims=0))
            nodes.append(helper.make_node("MatMul", [f"mean_{name}", f"w_{name}"], [name]))
            outputs.append((name, TensorProto.FLOAT, ["batch", classes]))
    taken: list[graphs.Value] = [(name, TensorProto.INT64, ["batch", length]) for name in inputs]
    model = graphs.model(nodes, taken, outputs, weights)
    model.opset_import[0].version = 17  # in which ReduceMean has axes as an attribute
    return model


def write_folder(
    folder: Path,
    model: onnx.ModelProto,
    config: Mapping[str, Any] = {},
    *,
    file: str = "model.onnx",
    **documents: Any,
) -> Path:
    """Write a folder of a model of texts.

    Args:
        folder: The folder.
        model: The model.
        config: Changes of `config.json`.
        file: The path of the model in the folder.
        **documents: Other JSON files by their names without a suffix; None leaves the file out.
    """
    files: dict[str, Any] = {
        "config": {**CONFIG, **config},
        "tokenizer": tokenizer(),
        "tokenizer_config": TOKENIZER_CONFIG,
        **documents,
    }
    for name, document in files.items():
        if document is not None:
            path = folder / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document))
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / file)
    return folder


def with_labels(*labels: str) -> dict[str, Any]:
    """Return the part of `config.json` that names classes."""
    return {"id2label": {str(number): label for number, label in enumerate(labels)}}
