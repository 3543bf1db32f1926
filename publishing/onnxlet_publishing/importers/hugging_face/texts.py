"""Models of texts in Hugging Face's form: the tokenizer, the length, labels, pooling and prompts."""

from collections.abc import Iterator
from typing import Any

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.hugging_face.folder import (
    CONFIG,
    LENGTH_CONFIG,
    MODULES,
    SENTENCE_CONFIG,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    Folder,
)
from onnxlet_publishing.importers.hugging_face.tasks import ACTIVATION, is_cross_encoder
from onnxlet_publishing.importers.settings import Found
from onnxlet_publishing.onnx_file import OnnxFile

VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model")
"""The files of tokenizers that transformers runs in Python, from which it can make a `tokenizer.json`."""

UNLIMITED = 10**6
"""A `model_max_length` from which on it is not a length; transformers writes 10**30 for an unknown one."""

SHIFTED = ("camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "xlm-roberta", "xmod")
"""Model types whose first position comes after the padding's token, so that a text may be shorter."""

SERVED_MODULES = ("Transformer", "Pooling", "Normalize", "Dropout")
"""The modules of sentence-transformers that are served if the graph holds only the transformer."""

POOLING = "Pooling"
POOLING_FILE = "1_Pooling/config.json"
MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "max": "max",
}
"""The poolings of sentence-transformers that are served: the flags of older versions, and the names of newer ones."""

PROBLEMS = {"multi_label_classification": "sigmoid", "regression": "none"}
"""The activation of each `problem_type`, except for `single_label_classification`, which running the model confirms."""


def find_settings(folder: Folder, model: OnnxFile) -> dict[str, Found]:
    """Return the settings of a model of texts.

    Raises:
        UsageError: A file of the folder is not what Hugging Face's libraries write.
    """
    settings = {**_token_settings(folder), **_activation(folder)}
    tokenizer = folder.in_transformer(TOKENIZER)
    if folder.has(tokenizer):
        settings["tokenizer"] = Found(folder.path / tokenizer, "in the folder", tokenizer)
    if (length := _length(folder)) is not None:
        settings["max_length"] = length
    if any(spec.name == "sentence_embedding" for spec in model.outputs):
        origin = 'the output "sentence_embedding"'
        settings["truncates"] = Found(value=True, origin=origin)
        return settings | {"pooling": Found("none", origin), "normalize": Found(value=False, origin=origin)}
    return settings | _vectors(folder)


def advise(folder: Folder) -> dict[str, str]:
    """Return how to get the tokenizer that a folder lacks."""
    vocabulary = next((each for each in VOCABULARIES if folder.has(folder.in_transformer(each))), None)
    if vocabulary is None:
        return {"tokenizer": f"got none in {folder.path}"}
    convert = f'AutoTokenizer.from_pretrained("{folder.path}").save_pretrained("{folder.path}")'
    return {"tokenizer": f"got {vocabulary}; convert it first: from transformers import AutoTokenizer; {convert}"}


def _length(folder: Folder) -> Found | None:
    """Return the most tokens of a text: the tokenizer's limit, or the number of the model's positions if it is less."""
    found = [
        Found(length, origin) for length, origin in _lengths(folder) if type(length) is int and 0 < length < UNLIMITED
    ]
    return min(found, key=lambda each: int(each.value), default=None)


def _lengths(folder: Folder) -> Iterator[tuple[Any, str]]:
    limits = folder.in_transformer(LENGTH_CONFIG)
    yield folder.read(limits).get("max_seq_length"), limits
    tokens = folder.in_transformer(TOKENIZER_CONFIG)
    limit = folder.read(tokens).get("model_max_length")
    yield int(limit) if isinstance(limit, float) else limit, tokens
    config = folder.config
    positions = config.get("max_position_embeddings")
    if type(positions) is int:
        shift = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in SHIFTED else 0
        yield positions - shift, f"{CONFIG}, max_position_embeddings"


def _token_settings(folder: Folder) -> dict[str, Found]:
    """Return what `tokenizer.json` lacks, without words for a person: it has no options."""
    name = folder.in_transformer(TOKENIZER_CONFIG)
    config = {**folder.read(folder.in_transformer(SPECIAL_TOKENS)), **folder.read(name)}
    settings = {
        "padding_side": config.get("padding_side"),
        "truncation_side": config.get("truncation_side"),
        "pad_type_id": config.get("pad_token_type_id"),
        "cleans_up": config.get("clean_up_tokenization_spaces"),
        "pad_token": _token(config.get("pad_token")),
        "mask_token": _token(config.get("mask_token")),
        "cls_token": _token(config.get("cls_token")),
        "unk_token": _token(config.get("unk_token")),
        "truncates": True if folder.modules or is_cross_encoder(folder) else None,
    }
    return {key: Found(value, name) for key, value in settings.items() if value is not None}


def _token(value: object) -> object:
    return value.get("content") if isinstance(value, dict) else value


def _activation(folder: Folder) -> dict[str, Found]:
    """Return the activation of a classifier; nothing if running the model decides."""
    config = folder.config
    if is_cross_encoder(folder):
        return {"activation": _activation_of_pairs(folder)}
    problem = config.get("problem_type")
    if problem in PROBLEMS:
        return {"activation": Found(PROBLEMS[problem], f"{CONFIG}, {problem}")}
    if len(config.get("id2label") or ()) == 1:
        return {"activation": Found("sigmoid", f"{CONFIG}, one label")}
    return {}


def _activation_of_pairs(folder: Folder) -> Found:
    """Return the activation of a cross-encoder, which is a class of PyTorch; a sigmoid unless one is declared."""
    name, declared = SENTENCE_CONFIG, folder.read(SENTENCE_CONFIG).get("activation_fn")
    if declared is None:
        name = CONFIG
        own = folder.config.get("sentence_transformers") or {}
        declared = own.get("activation_fn") or folder.config.get(ACTIVATION)
    if declared is None:
        return Found("sigmoid", "as sentence-transformers")
    kind = str(declared).rpartition(".")[2]
    return Found("none" if kind == "Identity" else kind.lower(), f"{name}, {kind}")


def _vectors(folder: Folder) -> dict[str, Found]:
    """Return how the vectors of tokens become the vector of a text.

    Raises:
        UsageError: Further modules change the vectors after the graph.
    """
    further = [module for module in folder.modules if module not in SERVED_MODULES]
    if further:
        raise UsageError(
            f"{folder.path / MODULES}: expected only {', '.join(SERVED_MODULES)} for a graph without them, "
            f"got {', '.join(further)}: export the whole model: "
            "optimum-cli export onnx --library sentence_transformers --task feature-extraction"
        )
    settings = {"pooling": _pooling(folder)}
    if folder.modules:
        settings["normalize"] = Found("Normalize" in folder.modules, MODULES)
    config = folder.read(SENTENCE_CONFIG)
    prompts = {name: text for name, text in (config.get("prompts") or {}).items() if text}
    if prompts:
        settings["prompts"] = Found(prompts, SENTENCE_CONFIG, ", ".join(prompts))
    if config.get("default_prompt_name") in prompts:
        settings["default_prompt"] = Found(config["default_prompt_name"], SENTENCE_CONFIG)
    if folder.config.get("matryoshka_dimensions"):
        settings["dimensions"] = Found(tuple(folder.config["matryoshka_dimensions"]), CONFIG)
    pooling = folder.read(f"{folder.modules.get(POOLING, '')}/{CONFIG}")
    if pooling.get("include_prompt") is False:
        settings["pools_prompt"] = Found(value=False, origin=POOLING_FILE)
    return settings


def _pooling(folder: Folder) -> Found:
    if POOLING not in folder.modules:
        return Found("mean", "no modules.json; sentence-transformers takes the mean then")
    name = f"{folder.modules[POOLING]}/{CONFIG}"
    config = folder.read(name)
    mode = config.get("pooling_mode")
    modes = [mode] if mode else [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    return Found(" and ".join(MODES.get(str(each), str(each)) for each in modes) or "none", name)
