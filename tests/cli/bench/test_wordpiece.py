import json

import numpy as np
from tokenizers import Tokenizer

from onnxlet_cli.bench import wordpiece
from onnxlet_cli.bench.networks import TEXT_TOKENS


def test_the_vocabulary_is_as_large_as_berts_and_has_no_token_twice() -> None:
    tokens = wordpiece.vocabulary()
    assert len(set(tokens)) == len(tokens) == TEXT_TOKENS
    assert {number: tokens[number] for number in wordpiece.SPECIALS} == wordpiece.SPECIALS
    assert not any(token.startswith(wordpiece.PREFIX) for token in tokens[: wordpiece.FIRST_PIECE])
    assert all(token.startswith(wordpiece.PREFIX) for token in tokens[wordpiece.FIRST_PIECE :])


def test_the_file_is_the_same_each_time_and_as_large_as_berts() -> None:
    data = wordpiece.tokenizer_json()
    assert data == wordpiece.tokenizer_json()
    assert 0.65e6 < len(data) < 0.75e6
    assert len(json.loads(data)["model"]["vocab"]) == TEXT_TOKENS


def test_a_text_has_the_tokens_that_it_was_made_of() -> None:
    tokenizer = Tokenizer.from_buffer(wordpiece.tokenizer_json())
    words = np.random.default_rng(0).integers(wordpiece.FIRST_WORD, wordpiece.FIRST_PIECE, 300).tolist()
    ids = [wordpiece.CLS, *words, wordpiece.SEP]
    assert tokenizer.encode(wordpiece.to_text(ids)).ids == ids
    assert tokenizer.encode("zx").ids[1:-1] == [wordpiece.FIRST_WORD + 25, wordpiece.FIRST_PIECE + 23]
