import json
import os
import subprocess
import sys
import threading
from functools import cache
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from onnxlet.contract.tasks.texts import FED, Tokenization
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import ArtifactError, InferenceError, InvalidRequestError, TooLargeError
from onnxlet.limits import MAX_TEXT_CHARACTERS, memory
from onnxlet.tasks.tokenizer import (
    CHARACTER_BYTES,
    LONGEST,
    SECOND,
    Text,
    Tokenizer,
    Truncation,
    padded_length,
    to_inputs,
)
from tests.helpers import texts

PADS = {"wordpiece": "[PAD]", "byte-level": "<pad>", "unigram": "<pad>"}
SPECIALS = {
    "wordpiece": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "byte-level": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    "unigram": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
}
NAMES = ("input_ids", "attention_mask", "token_type_ids")
SPECS = {name: TensorSpec(name, DATATYPES["INT64"], ("batch", "tokens")) for name in FED}


@cache
def ours(kind: str, **settings: Any) -> Tokenizer:
    inputs = {name: name for name in NAMES}
    pad_id = SPECIALS[kind].index(PADS[kind])  # the trainers number special tokens first
    return Tokenizer(texts.tokenizer_json(kind), Tokenization(inputs, 64, pad_id=pad_id, **settings))


def theirs(kind: str, **settings: Any) -> Any:
    from tokenizers import Tokenizer as Library

    library = Library.from_buffer(texts.tokenizer_json(kind))
    return PreTrainedTokenizerFast(
        tokenizer_object=library, pad_token=PADS[kind], model_input_names=list(NAMES), **settings
    )


def values(tensor: Tensor) -> list[list[int]]:
    flat = tensor.buffer.cast("q").tolist()
    width = tensor.shape[1]
    return [flat[start : start + width] for start in range(0, len(flat), width)]


@pytest.fixture(params=list(texts.KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_3000_texts_in_twelve_scripts_have_the_tokens_of_transformers(kind: str) -> None:
    corpus = texts.corpus()
    expected = theirs(kind)(list(corpus), return_offsets_mapping=True, return_special_tokens_mask=True)
    found = ours(kind).encode(corpus)
    assert len(found) == 3000
    for index, encoding in enumerate(found):
        assert encoding.ids == expected["input_ids"][index], corpus[index]
        assert encoding.attention_mask == expected["attention_mask"][index]
        assert encoding.type_ids == expected["token_type_ids"][index]
        assert encoding.offsets == expected["offset_mapping"][index], corpus[index]
        assert encoding.special_tokens_mask == expected["special_tokens_mask"][index]


@pytest.mark.parametrize("sides", [("right", "right"), ("right", "left"), ("left", "right")])
def test_pairs_are_cut_and_padded_as_by_transformers(kind: str, sides: tuple[str, str]) -> None:
    padding_side, truncation_side = sides
    corpus = texts.corpus(120)
    pairs: list[Text] = [(one[:12], other[:40]) for one, other in zip(corpus[::2], corpus[1::2], strict=True)]
    reference = theirs(kind, padding_side=padding_side, truncation_side=truncation_side)
    tokenizer = ours(kind, padding_side=padding_side, truncation_side=truncation_side)
    for strategy, length in ((LONGEST, 20), (SECOND, 48)):
        expected = reference([*map(list, pairs)], padding=True, truncation=strategy, max_length=length)
        found = tokenizer.encode_cut(pairs, Truncation(length, truncation_side, strategy))
        tensors = to_inputs(found, padded_length(found, tokenizer.tokenization), tokenizer.tokenization, SPECS)
        assert {name: values(tensor) for name, tensor in tensors.items()} == dict(expected)
        assert max(map(len, found)) == length


def test_parts_that_overlap_are_those_of_transformers(kind: str) -> None:
    corpus = [text for text in texts.corpus(60) if len(text) > 20]
    expected = theirs(kind)(
        corpus, truncation=True, max_length=16, stride=4, return_overflowing_tokens=True, return_offsets_mapping=True
    )
    found = ours(kind).encode_cut(corpus, Truncation(16, "right", LONGEST, stride=4))
    parts = [part for encoding in found for part in [encoding, *encoding.overflowing]]
    assert [part.ids for part in parts] == expected["input_ids"]
    assert [part.offsets for part in parts] == expected["offset_mapping"]


def test_a_text_of_many_tokens_is_whole_until_it_is_cut(kind: str) -> None:
    tokenizer, text = ours(kind), "word " * 500
    before = tokenizer.encode([text])[0].ids
    assert len(tokenizer.encode_cut([text], Truncation(8, "right"))[0]) == 8
    assert tokenizer.encode([text])[0].ids == before
    assert len(before) > 500


def test_tokens_become_text_as_in_transformers(kind: str) -> None:
    for cleans_up in (True, False):
        reference = theirs(
            kind,
            clean_up_tokenization_spaces=cleans_up,
            additional_special_tokens=SPECIALS[kind],
            unk_token=SPECIALS[kind][1],
        )
        tokenizer = ours(kind, cleans_up=cleans_up)
        for text, encoding in zip(texts.corpus(60), tokenizer.encode(texts.corpus(60)), strict=True):
            for skips in (True, False):
                assert tokenizer.decode(encoding.ids, skips_specials=skips) == reference.decode(
                    encoding.ids, skip_special_tokens=skips
                ), text
            assert tokenizer.join(encoding.tokens) == reference.convert_tokens_to_string(encoding.tokens)


def test_position_ids_count_from_the_start_of_a_row() -> None:
    tokenization = Tokenization({"input_ids": "ids", "position_ids": "positions"}, 64)
    specs = {name: TensorSpec(name, DATATYPES["INT32"], None) for name in ("ids", "positions")}
    found = Tokenizer(texts.tokenizer_json("wordpiece"), tokenization).encode(["a", "a b c d"])
    tensors = to_inputs(found, 8, tokenization, specs)
    assert tensors["positions"].buffer.cast("i").tolist() == [*range(8), *range(8)]
    assert tensors["ids"].shape == (2, 8)


def test_every_text_is_padded_to_the_length_of_a_fixed_shape() -> None:
    tokenizer = ours("wordpiece", padded_length=64)
    assert padded_length(tokenizer.encode(["a"]), tokenizer.tokenization) == 64


def test_too_many_characters_are_refused_before_they_are_tokenized() -> None:
    half = "a" * (MAX_TEXT_CHARACTERS // 2 + 1)
    for sent in ([half, half], [(half, half)]):
        with pytest.raises(TooLargeError, match=f"expected at most {MAX_TEXT_CHARACTERS} characters in all, got"):
            ours("wordpiece").encode(sent)


@pytest.mark.parametrize("truncation", [Truncation(8, "right", LONGEST, 6), Truncation(2, "right")])
def test_a_length_without_room_for_text_is_refused(truncation: Truncation) -> None:
    with pytest.raises(InvalidRequestError, match="2 special ones: expected more than"):
        ours("wordpiece").encode_cut(["a b c d e f g h i"], truncation)


def test_a_pair_whose_uncut_text_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not to be cut to 8 tokens"):
        ours("wordpiece").encode_cut([("word " * 20, "a b c")], Truncation(8, "right", SECOND))


@pytest.mark.parametrize("count", [1, 3])
def test_parts_without_room_for_a_new_token_are_refused_and_the_tokenizer_goes_on(count: int) -> None:
    tokenizer = ours("wordpiece")
    question = "a b c d"  # leaves 5 of 12 tokens, of which each part would share 6
    with pytest.raises(InvalidRequestError, match="not to be cut to 12 tokens: `stride` must be strictly less than"):
        tokenizer.encode_cut([(question, "a " * 40)] * count, Truncation(12, "right", SECOND, stride=6))
    assert len(tokenizer.encode([question])[0]) == 6


def changed_tokenizer(**changes: Any) -> bytes:
    return json.dumps(json.loads(texts.tokenizer_json("wordpiece")) | changes).encode()


CHARACTERS = {"type": "Precompiled", "precompiled_charsmap": ""}
UNKNOWN = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}], "pair": []}


def test_a_tokenizer_on_which_the_library_fails_is_refused() -> None:
    with pytest.raises(ArtifactError, match="Hugging Face, got Precompiled: Error"):
        Tokenizer(changed_tokenizer(normalizer=CHARACTERS), Tokenization({"input_ids": "input_ids"}, 64))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"post_processor": {**UNKNOWN, "special_tokens": {}}}, "no entry found for key"),
        ({"model": {"type": "WordPiece", "unk_token": "?", "vocab": {"a": 0}}}, "Missing"),
    ],
)
def test_a_text_on_which_the_library_fails_is_refused(changes: dict[str, Any], problem: str) -> None:
    document = json.loads(texts.tokenizer_json("wordpiece"))
    model = document["model"] | changes.pop("model", {})
    tokenizer = Tokenizer(changed_tokenizer(**changes, model=model), Tokenization({"input_ids": "input_ids"}, 64))
    with pytest.raises(InferenceError, match=f"tokenizer can read: .*{problem}"):
        tokenizer.encode(["b"])


@pytest.mark.parametrize("data", [b"", b"{}", b"PK\x03\x04", texts.tokenizer_json("wordpiece")[:-20]])
def test_bytes_that_are_not_a_tokenizer_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"expected a tokenizer\.json of Hugging Face"):
        Tokenizer(data, Tokenization({"input_ids": "input_ids"}, 64))


def test_tokenizing_imports_neither_numpy_nor_the_hub(tmp_path: Any) -> None:
    (tmp_path / "tokenizer.json").write_bytes(texts.tokenizer_json("unigram"))
    program = (
        "import sys\n"
        "from onnxlet.contract.tasks.texts import Tokenization\n"
        "from onnxlet.tasks.tokenizer import Tokenizer, Truncation\n"
        "assert 'tokenizers' not in sys.modules\n"
        f"data = open({str(tmp_path / 'tokenizer.json')!r}, 'rb').read()\n"
        "tokenizer = Tokenizer(data, Tokenization({'input_ids': 'i'}, 8))\n"
        "tokenizer.encode(['a', 'b'])\n"
        "tokenizer.encode_cut([('a', 'b')], Truncation(8, 'right'))\n"
        "print(*{'numpy', 'huggingface_hub', 'transformers', 'typing_extensions'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_function_without_the_library_says_how_to_get_it() -> None:
    program = (
        "import sys\n"
        "sys.modules['tokenizers'] = None\n"
        "from onnxlet.errors import MissingLibraryError\n"
        "from onnxlet.contract.tasks.texts import Tokenization\n"
        "from onnxlet.tasks.tokenizer import Tokenizer\n"
        "try:\n"
        "    Tokenizer(b'{}', Tokenization({'input_ids': 'i'}, 8))\n"
        "except MissingLibraryError as error:\n"
        "    print(error.code, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("missing_library tokenizers, which models of texts need, is not installed")
    assert "onnxlet package --with text" in done.stdout


def test_threads_that_cut_and_threads_that_do_not_never_meet() -> None:
    tokenizer, text = ours("wordpiece"), "word " * 100
    whole, cut = len(tokenizer.encode([text])[0]), Truncation(8, "right")
    found: list[tuple[int, int]] = []

    def work() -> None:
        found.extend((len(tokenizer.encode([text])[0]), len(tokenizer.encode_cut([text], cut)[0])) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {(whole, 8)}
    assert len(found) == 200


def test_the_memory_of_tokens_is_counted_before_they_are_made() -> None:
    text = "a " * 50_000
    with (
        memory.Budget(CHARACTER_BYTES * len(text) - 1).share(),
        pytest.raises(TooLargeError, match="send less at once"),
    ):
        ours("wordpiece").encode([text])
    with memory.Budget(CHARACTER_BYTES * len(text)).share():
        assert len(ours("wordpiece").encode([text])[0]) > 50_000
