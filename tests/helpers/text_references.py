"""Small models of each task of texts with random weights, and what `transformers` and `sentence-transformers` answer.

`python -m tests.helpers.text_references FOLDER` writes a folder for each task: `model.onnx`, `tokenizer.json` and
`cases.json`. It needs torch, transformers and sentence-transformers; tests read what it wrote into `tests/data/texts`.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.helpers import texts

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 66,
    "initializer_range": 0.7,
    "pad_token_id": 0,
}
MAX_LENGTH = 64

ENGLISH = (
    "Ada Lovelace wrote the first program in London in 1843.",
    "The quick brown fox jumps over the lazy dog!",
    "Is it warm in São Paulo, or in Zürich?",
    "Marie Curie was born in Warsaw, Poland, and lived in Paris.",
    "colourless green ideas sleep furiously",
    "Привет, мир! 日本語のテキスト 🙂",
    "a",
    "Unbelievable: internationalization isn't hard.",
)
LONG = " ".join(ENGLISH[:5] * 2)

ENTITIES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
NLI = ("contradiction", "neutral", "entailment")
MOODS = ("calm", "merry", "sad")

QUESTIONS = (
    {"question": "Who wrote the first program?", "context": ENGLISH[0]},
    {"question": "Where did she live?", "context": LONG},
    {"question": "Was ist das?", "context": ENGLISH[5]},
)

CASES: dict[str, list[tuple[Any, dict[str, Any]]]] = {
    "text-classification": [
        *((text, {"top_k": 3}) for text in ENGLISH),
        ({"text": ENGLISH[0], "text_pair": ENGLISH[1]}, {"top_k": 3}),
    ],
    "token-classification": [
        *(
            (text, {"aggregation_strategy": each})
            for each in ("none", "simple", "first", "average", "max")
            for text in ENGLISH
        ),
        (ENGLISH[3], {"aggregation_strategy": "simple", "ignore_labels": ["B-LOC"]}),
        (LONG, {"aggregation_strategy": "simple", "stride": 8}),
        (LONG, {"aggregation_strategy": "first", "stride": 20}),
    ],
    "fill-mask": [
        ("The quick [MASK] fox jumps.", {}),
        ("The quick [MASK] fox jumps.", {"top_k": 12}),
        ("The [MASK] fox [MASK] high.", {"top_k": 3}),
        ("In [MASK].", {"targets": ["london", "paris", "in", "internationalization"]}),
        ("In [MASK], isn't it?", {"targets": ["the", "a", "."], "top_k": 2}),
    ],
    "question-answering": [
        *((each, {"max_seq_len": 40, "doc_stride": 12}) for each in QUESTIONS),
        *((each, {"max_seq_len": 48, "doc_stride": 8, "top_k": 3, "max_answer_len": 7}) for each in QUESTIONS),
        *((each, {"max_seq_len": 64, "handle_impossible_answer": True}) for each in QUESTIONS[::2]),
        (QUESTIONS[1], {"max_seq_len": 40, "doc_stride": 12, "top_k": 4, "align_to_words": False}),
    ],
    "zero-shot-classification": [
        (ENGLISH[0], {"candidate_labels": ["history", "sport", "food"]}),
        (ENGLISH[1], {"candidate_labels": ["animals"]}),
        (ENGLISH[2], {"candidate_labels": ["weather", "travel"], "multi_label": True}),
        (ENGLISH[5], {"candidate_labels": ["a", "b", "c"], "hypothesis_template": "It is about {}."}),
    ],
}
"""The inputs and parameters of each pipeline."""

PAIRS = [{"query": ENGLISH[0], "texts": list(ENGLISH[1:])}, {"query": "warm?", "texts": list(ENGLISH[:3])}]


def write_all(folder: Path) -> None:
    """Write the models and the answers of all tasks."""
    write_pipelines(folder)
    write_sentences(folder)


def write_pipelines(folder: Path) -> None:
    """Write the models of transformers' pipelines with their answers."""
    import transformers as hf

    word_piece, byte_level = _tokenizer("wordpiece"), _tokenizer("byte-level")
    bert = {**SIZES, "vocab_size": len(word_piece), "type_vocab_size": 2}
    labels = {"id2label": dict(enumerate(ENTITIES)), "label2id": {name: index for index, name in enumerate(ENTITIES)}}
    roberta = {**SIZES, "vocab_size": len(byte_level), "pad_token_id": 1, "type_vocab_size": 1, **labels}
    models = {
        "text-classification": lambda: hf.BertForSequenceClassification(_config(hf.BertConfig, bert, MOODS)),
        "token-classification": lambda: hf.BertForTokenClassification(_config(hf.BertConfig, bert, ENTITIES)),
        "token-classification-bytes": lambda: hf.RobertaForTokenClassification(hf.RobertaConfig(**roberta)),
        "fill-mask": lambda: hf.BertForMaskedLM(hf.BertConfig(**bert)),
        "question-answering": lambda: hf.BertForQuestionAnswering(hf.BertConfig(**bert)),
        "zero-shot-classification": lambda: hf.BertForSequenceClassification(_config(hf.BertConfig, bert, NLI)),
    }
    for name, make in models.items():
        task = name.removesuffix("-bytes")
        tokenizer = byte_level if name.endswith("-bytes") else word_piece
        model = _seeded(make)
        pipeline = hf.pipeline(task, model=model, tokenizer=tokenizer, device="cpu")
        cases = [
            {"inputs": inputs, "parameters": parameters, "answer": _plain(_ask(pipeline, task, inputs, parameters))}
            for inputs, parameters in CASES[task]
        ]
        _write(folder / name, model, tokenizer, cases)


def write_sentences(folder: Path) -> None:
    """Write a sentence embedder and a cross-encoder with the answers of sentence-transformers."""
    import transformers as hf
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    tokenizer = _tokenizer("wordpiece")
    sizes = {**SIZES, "vocab_size": len(tokenizer)}
    encoder = _seeded(lambda: hf.BertModel(hf.BertConfig(**sizes), add_pooling_layer=False))
    ranker = _seeded(lambda: hf.BertForSequenceClassification(hf.BertConfig(**sizes, num_labels=1)))
    with tempfile.TemporaryDirectory() as work:
        for model in (encoder, ranker):
            model.save_pretrained(Path(work) / type(model).__name__)
            tokenizer.save_pretrained(Path(work) / type(model).__name__)
        base = Transformer(str(Path(work) / "BertModel"), max_seq_length=24)
        cases = []
        for pooling, mode in (("mean", "mean"), ("cls", "cls"), ("max", "max"), ("last", "lasttoken")):
            modules = [base, Pooling(SIZES["hidden_size"], pooling_mode=mode), Normalize()]
            embedder = SentenceTransformer(modules=modules, device="cpu")
            cases.append(
                {"pooling": pooling, "inputs": list(ENGLISH), "answer": _plain(embedder.encode(list(ENGLISH)))}
            )
        modules = [base, Pooling(SIZES["hidden_size"], pooling_mode="mean", include_prompt=False)]
        embedder = SentenceTransformer(modules=modules, prompts={"query": "query: "}, device="cpu")
        vectors = embedder.encode(list(ENGLISH), prompt_name="query")
        cases.append({"prompt": "query: ", "inputs": list(ENGLISH), "answer": _plain(vectors)})
        crossed = CrossEncoder(str(Path(work) / "BertForSequenceClassification"), max_length=48, device="cpu")
        ranked = [{"inputs": pair, "answer": _plain(crossed.rank(pair["query"], pair["texts"]))} for pair in PAIRS]
    _write(folder / "feature-extraction", encoder, tokenizer, cases)
    _write(folder / "text-ranking", ranker, tokenizer, ranked)


def _config(config: Any, sizes: dict[str, Any], labels: tuple[str, ...]) -> Any:
    numbers = {name: index for index, name in enumerate(labels)}
    return config(**sizes, id2label=dict(enumerate(labels)), label2id=numbers)


def _seeded(make: Any) -> Any:
    """Return a model with the same random weights each time."""
    import torch

    torch.manual_seed(3)
    return make().eval()


def _tokenizer(kind: str) -> Any:
    """Return a tokenizer that is trained on the texts of the cases."""
    import transformers as hf
    from tokenizers import Tokenizer

    data = texts.tokenizer_json(kind, tuple(ENGLISH), 400)
    names = (
        ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
        if kind == "wordpiece"
        else ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    )
    specials = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), names, strict=True))
    types = (
        ["input_ids", "token_type_ids", "attention_mask"] if kind == "wordpiece" else ["input_ids", "attention_mask"]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_buffer(data), model_max_length=MAX_LENGTH, model_input_names=types, **specials
    )


def _ask(pipeline: Any, task: str, inputs: Any, parameters: dict[str, Any]) -> Any:
    if task == "question-answering":
        return pipeline(**inputs, **parameters)
    return pipeline(inputs, **parameters)


def _plain(value: Any) -> Any:
    """Return a value of numpy or torch as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def _write(folder: Path, model: Any, tokenizer: Any, cases: list[dict[str, Any]]) -> None:
    """Write a model as ONNX, with its tokenizer and its cases."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in tokenizer.model_input_names]
    sample = tokenizer(ENGLISH[0], return_tensors="pt")
    outputs = list(model(**sample).keys())
    model.config.return_dict = True
    axes = {name: {0: "batch", 1: "tokens"} for name in names}
    for name, tensor in model(**sample).items():
        axes[name] = {0: "batch", 1: "tokens"} if tensor.shape[1:2] == sample["input_ids"].shape[1:2] else {0: "batch"}
    torch.onnx.export(
        _ordered(model, names),
        tuple(sample[name] for name in names),
        str(folder / "model.onnx"),
        input_names=names,
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    (folder / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str())
    (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


def _ordered(model: Any, names: list[str]) -> Any:
    """Return a module that takes the model's inputs by position, and returns its outputs as a tuple."""
    import torch

    def forward(_module: Any, *tensors: Any) -> Any:
        return tuple(model(**dict(zip(names, tensors, strict=True))).values())

    ordered = type("Ordered", (torch.nn.Module,), {"forward": forward})()
    ordered.model = model
    return ordered


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
