"""A WordPiece tokenizer as large as BERT's, whose words are invented: only the size and the kind of its file matter."""

import json
from collections.abc import Iterable
from typing import Any

from onnxlet_cli.bench.networks import TEXT_TOKENS

CLS, SEP = 101, 102
"""The numbers of the tokens before and after a text."""

SPECIALS = {0: "[PAD]", 100: "[UNK]", CLS: "[CLS]", SEP: "[SEP]", 103: "[MASK]"}
FIRST_WORD, FIRST_PIECE = 1000, 25_000
"""The numbers of the first whole word and of the first piece inside a word; BERT has about as many of each."""

PREFIX = "##"
"""The beginning of a piece inside a word."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"
STEP, NUMBERS = 40_009, 1_000_000
"""A step without a common divisor with the numbers of three syllables; it spreads the words over all of them."""


def vocabulary() -> list[str]:
    """Return all tokens by their numbers."""
    unused = [SPECIALS.get(number, f"[unused{number}]") for number in range(FIRST_WORD)]
    words, pieces = (
        [*LETTERS, *(_word(number) for number in range(count - len(LETTERS)))]
        for count in (FIRST_PIECE - FIRST_WORD, TEXT_TOKENS - FIRST_PIECE)
    )
    return [*unused, *words, *(f"{PREFIX}{piece}" for piece in pieces)]


def tokenizer_json() -> bytes:
    """Return the file `tokenizer.json`, indented as `transformers` saves it; 0.7 MB."""
    numbers = {token: number for number, token in enumerate(vocabulary())}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(number, token) for number, token in SPECIALS.items()],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", SEP], "cls": ["[CLS]", CLS]},
        "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": 100,
            "vocab": numbers,
        },
    }
    return json.dumps(document, indent=2).encode()


def to_text(numbers: Iterable[int]) -> str:
    """Return the text that has these tokens, which are whole words between the two special ones of a text."""
    tokens = vocabulary()
    _, *words, _ = (tokens[number] for number in numbers)
    return " ".join(words)


def _word(number: int) -> str:
    """Return a word of three syllables, a different one for each number below a million."""
    rest, syllables = number * STEP % NUMBERS, ""
    for _ in range(3):
        rest, syllable = divmod(rest, len(CONSONANTS) * len(VOWELS))
        syllables += CONSONANTS[syllable // len(VOWELS)] + VOWELS[syllable % len(VOWELS)]
    return syllables


def _special(number: int, token: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": token, **flags, "special": True}
