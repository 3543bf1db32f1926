"""Texts to a model's tokens and back, by Hugging Face's `tokenizers`, with the same numbers as `transformers`."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxlet.contract.tasks.texts import IDS, MASK, POSITIONS, TYPES, Tokenization
from onnxlet.contract.tensors import DataType, Tensor, TensorSpec
from onnxlet.errors import (
    ArtifactError,
    InferenceError,
    InvalidRequestError,
    MissingLibraryError,
    OnnxletError,
    TooLargeError,
)
from onnxlet.limits import MAX_TEXT_CHARACTERS, deadline, memory
from onnxlet.record import Record

if TYPE_CHECKING:
    from tokenizers import Encoding

Text = str | tuple[str, str]
"""A text, or a pair of texts that a model reads together."""

CHARACTER_BYTES = 600
"""The most memory that tokenizing takes for each character: emoji and accents, of which each is several tokens."""

TOKEN_BYTES = 256
"""The memory of a token with its place in the text, as the library keeps it until the request is answered."""

MAX_CUT_TOKENS = 1_000_000
"""Tokens of all parts into which texts are cut, where parts repeat each other's tokens: 250 MiB."""

PANIC = "PanicException"
"""The class of the library's failed assertions. It is not an `Exception`, and ends a process that does not catch it."""

LONGEST, FIRST, SECOND = "longest_first", "only_first", "only_second"
"""The texts of a pair that are cut: the longer one token by token, or always the same one."""


class Truncation(Record):
    """The way in which texts with too many tokens are cut."""

    max_length: int
    """The most tokens of a text or a pair, special tokens included."""
    side: str
    """The side that is cut: `right` or `left`."""
    strategy: str = LONGEST
    stride: int = 0
    """The number of tokens that a part of a cut text shares with the part before it."""


class TokenIds:
    """Tokens that a client sent instead of a text, with the members of an `Encoding` that a model's inputs need."""

    __slots__ = ("ids",)

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def attention_mask(self) -> list[int]:
        """A 1 for each token."""
        return [1] * len(self.ids)

    @property
    def type_ids(self) -> list[int]:
        """A 0 for each token: all of them are of the first text."""
        return [0] * len(self.ids)


class Tokenizer:
    """A tokenizer file with the settings that a model declares for it. Safe for threads."""

    def __init__(self, data: bytes | memoryview, tokenization: Tokenization) -> None:
        """Parse the bytes of a `tokenizer.json`.

        Raises:
            MissingLibraryError: `tokenizers` is not installed.
            ArtifactError: the bytes are not a tokenizer.
        """
        require_tokenizers()
        import tokenizers

        with _errors_as(ArtifactError, "tokenizer: expected a tokenizer.json of Hugging Face, got"):
            self._library = tokenizers.Tokenizer.from_buffer(bytes(data))
        self.tokenization = tokenization
        self._lock = threading.Lock()
        self._library.no_truncation()
        self._library.no_padding()

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens, with those that were added."""
        return int(self._library.get_vocab_size(with_added_tokens=True))

    @property
    def last_id(self) -> int:
        """The largest number of a token."""
        return int(max(self._library.get_vocab(with_added_tokens=True).values()))

    @property
    def is_word_aware(self) -> bool:
        """Whether tokens inside a word have a prefix of their own, such as `##`."""
        return bool(getattr(self._library.model, "continuing_subword_prefix", None))

    def token_id(self, token: str) -> int | None:
        """Return the number of a token, or None if the vocabulary does not have it."""
        token_id: int | None = self._library.token_to_id(token)
        return token_id

    def token(self, token_id: int) -> str:
        """Return the token with a number; empty if there is no such token."""
        return self._library.id_to_token(token_id) or ""

    def encode(self, texts: Sequence[Text], *, adds_specials: bool = True) -> list[Encoding]:
        """Return the tokens of each text, however many, with their places in the text.

        Raises:
            TooLargeError, BusyError: the texts have too many characters in all, or there is no memory for their tokens.
            InferenceError: the tokenizer has no tokens for a text, for instance none for unknown words.
            DeadlineError: other requests hold the tokenizer for too long.
        """
        with (
            memory.taken(CHARACTER_BYTES * _characters(texts)),
            deadline.locked(self._lock),
            _errors_as(InferenceError, "texts: expected texts that the model's tokenizer can read:"),
        ):
            encodings = self._encode(texts, adds_specials=adds_specials)
        return _kept(encodings)

    def encode_cut(self, texts: Sequence[Text], truncation: Truncation) -> list[Encoding]:
        """Return the tokens of each text, cut; `overflowing` has the parts that were cut off.

        Raises:
            TooLargeError, BusyError: the texts have too many characters in all, or there is no memory for their tokens.
            InvalidRequestError: the texts cannot be cut in this way, or only into too many parts.
            DeadlineError: other requests hold the tokenizer for too long.
        """
        count = _characters(texts)
        specials = self._library.num_special_tokens_to_add(bool(texts) and isinstance(texts[0], tuple))
        if truncation.max_length - specials <= truncation.stride:
            raise InvalidRequestError(
                f"texts of {truncation.max_length} tokens with {specials} special ones: expected more than "
                f"{truncation.stride} others, which is the number that parts share"
            )
        cut_tokens = self._count_parts(texts, truncation, truncation.max_length - specials) * truncation.max_length
        with memory.taken(max(CHARACTER_BYTES * count, TOKEN_BYTES * cut_tokens)), deadline.locked(self._lock):
            self._library.enable_truncation(
                truncation.max_length, stride=truncation.stride, strategy=truncation.strategy, direction=truncation.side
            )
            try:
                with _errors_as(InvalidRequestError, f"texts: not to be cut to {truncation.max_length} tokens:"):
                    encodings = self._encode(texts)
            finally:
                self._library.no_truncation()
        return _kept(encodings)

    def decode(self, token_ids: Sequence[int], *, skips_specials: bool = False) -> str:
        """Return the text of tokens."""
        text = self._library.decode(list(token_ids), skip_special_tokens=skips_specials)
        return _cleaned_up(text) if self.tokenization.cleans_up else text

    def join(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens that are given as strings; nothing is skipped or cleaned up."""
        decoder = self._library.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(list(tokens)))

    def _count_parts(self, texts: Sequence[Text], truncation: Truncation, space: int) -> int:
        """Return into how many parts texts will be cut, before the library does it.

        Raises:
            InvalidRequestError: the parts would have more than `MAX_CUT_TOKENS` tokens.
        """
        at_most = MAX_CUT_TOKENS // truncation.max_length
        parts = 0
        for text in texts:
            pair = (text,) if isinstance(text, str) else text
            own = _parts([len(part) for part in pair], truncation, space)
            if own > at_most // len(texts):  # by the characters, of which a token seldom has less than one
                own = _parts([len(part) for part in self.encode(pair, adds_specials=False)], truncation, space)
            parts += own
            if parts > at_most:
                raise InvalidRequestError(
                    f"texts: expected at most {at_most} parts of {truncation.max_length} tokens, got more: send "
                    "shorter texts"
                )
        return parts

    def _encode(self, texts: Sequence[Text], *, adds_specials: bool = True) -> list[Encoding]:
        if len(texts) > 1:
            encodings: list[Encoding] = self._library.encode_batch(list(texts), add_special_tokens=adds_specials)
            return encodings
        # The library starts a pool of threads for a batch, which a single text does not need.
        pairs: list[Any] = [(text, None) if isinstance(text, str) else text for text in texts]
        return [self._library.encode(*pair, add_special_tokens=adds_specials) for pair in pairs]


def require_tokenizers() -> None:
    """Raise MissingLibraryError if this function was packaged without `tokenizers`."""
    try:
        import tokenizers  # noqa: F401 - checks that it is installed
    except ImportError as error:
        raise MissingLibraryError(
            "tokenizers, which models of texts need, is not installed: package the function by onnxlet package --with "
            "text; on your own machine run pip install tokenizers"
        ) from error


@contextmanager
def _errors_as(error: Callable[[str], OnnxletError], problem: str) -> Iterator[None]:
    """Raise an error of a function for any of the library, which has no narrower classes of errors."""
    try:
        yield
    except BaseException as reason:
        if isinstance(reason, Exception) or type(reason).__name__ == PANIC:
            raise error(f"{problem} {reason}") from reason
        raise


def to_inputs(
    encodings: Sequence[Encoding | TokenIds], length: int, tokenization: Tokenization, specs: Mapping[str, TensorSpec]
) -> dict[str, Tensor]:
    """Return the model's inputs for tokenized texts, a row for each.

    Args:
        encodings: The tokens of each text.
        length: The number of tokens to which each row is padded; no text has more.
        tokenization: The settings of the model's texts.
        specs: The model's inputs, by name.
    """
    rows = {
        IDS: (tokenization.pad_id, [encoding.ids for encoding in encodings]),
        MASK: (0, [encoding.attention_mask for encoding in encodings]),
        TYPES: (tokenization.pad_type_id, [encoding.type_ids for encoding in encodings]),
        POSITIONS: (0, [list(range(length))] * len(encodings)),
    }
    return {
        name: to_rows(rows[fed][1], length, rows[fed][0], specs[name].datatype, tokenization.padding_side)
        for fed, name in tokenization.inputs.items()
    }


def to_rows(rows: Sequence[list[int]], length: int, padding: int, datatype: DataType, side: str) -> Tensor:
    """Return rows of integers as a tensor, each padded on a side to the same length."""
    values = array(datatype.code or "q")
    for row in rows:
        pads = [padding] * (length - len(row))
        values.extend(row + pads if side == "right" else pads + row)
    return Tensor(datatype, (len(rows), length), memoryview(values).cast("B"))


def padded_length(encodings: Sequence[Encoding | TokenIds], tokenization: Tokenization) -> int:
    """Return the number of tokens to which texts of one run are padded."""
    return tokenization.padded_length or max(map(len, encodings))


def _kept(encodings: list[Encoding]) -> list[Encoding]:
    """Count the memory of tokens, which stay until the request is answered."""
    memory.take(TOKEN_BYTES * sum(map(len, encodings)))
    return encodings


def _parts(counts: Sequence[int], truncation: Truncation, space: int) -> int:
    """Return into how many parts the library divides a text or a pair; 1 if all of them have no token twice.

    Args:
        counts: The tokens of the text, or of both texts of a pair.
        truncation: The way in which the texts are cut.
        space: The most tokens of a part, without special ones.
    """
    if len(counts) == 1:
        return -(-counts[0] // max(1, space - truncation.stride)) if truncation.stride else 1
    if truncation.strategy == LONGEST:  # each part of one text with each part of the other
        half = max(1, space // 2 - truncation.stride)
        return -(-counts[0] // half) * -(-counts[1] // half)
    divided, kept = counts if truncation.strategy == FIRST else counts[::-1]
    return -(-divided // max(1, space - kept - truncation.stride))


def _characters(texts: Sequence[Text]) -> int:
    """Return the number of characters of all texts.

    Raises:
        TooLargeError: there are more than `MAX_TEXT_CHARACTERS`.
    """
    count = sum(len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) for text in texts)
    if count > MAX_TEXT_CHARACTERS:
        raise TooLargeError(f"texts: expected at most {MAX_TEXT_CHARACTERS} characters in all, got {count}")
    return count


def _cleaned_up(text: str) -> str:
    """Return a text without the spaces that tokenizing put before punctuation.

    Source: transformers, `PreTrainedTokenizerBase.clean_up_tokenization`.
    """
    for spaced in (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(spaced, spaced.strip())
    return text
