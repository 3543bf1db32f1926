"""Sounds of Hugging Face's models: what the feature extractor's file says about the samples that a model takes."""

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.hugging_face.folder import Folder
from onnxlet_publishing.importers.settings import Found

FEATURES = "preprocessor_config.json"
VOCABULARY = "vocab.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

MAX_VOCABULARY = 100_000
"""Characters or tokens of a model of speech."""


def find_settings(folder: Folder) -> dict[str, Found]:
    """Return the rate and the normalization of the samples, and the characters of a model of speech.

    Raises:
        UsageError: The file is not what transformers writes.
    """
    settings = _find_vocabulary(folder)
    if not folder.has(FEATURES):
        return settings
    features = folder.read(FEATURES)
    settings["normalizes"] = Found(bool(features.get("do_normalize")), FEATURES)
    rate = features.get("sampling_rate")
    if isinstance(rate, int):
        settings["sampling_rate"] = Found(rate, FEATURES, f"{rate} samples a second")
    return settings


def _find_vocabulary(folder: Folder) -> dict[str, Found]:
    """Return the characters of a model of speech (CTC), its blank class and the token between words.

    Source: transformers, `Wav2Vec2CTCTokenizer`: the padding token is the blank one.
    """
    if not folder.has(VOCABULARY):
        return {}
    numbers = folder.read(VOCABULARY)
    if not numbers or not all(type(number) is int and 0 <= number < MAX_VOCABULARY for number in numbers.values()):
        raise UsageError(f"{folder.path / VOCABULARY}: expected a number from 0 to {MAX_VOCABULARY - 1} for each token")
    tokens = [""] * (max(numbers.values()) + 1)
    for token, number in numbers.items():
        tokens[number] = token
    settings = folder.read(TOKENIZER_CONFIG)
    padding = settings.get("pad_token")
    blank = numbers.get(padding, folder.config.get("pad_token_id", 0)) if isinstance(padding, str) else 0
    space = settings.get("word_delimiter_token")
    return {
        "vocabulary": Found(tuple(tokens), VOCABULARY, f"{len(tokens)} characters"),
        "blank": Found(blank, TOKENIZER_CONFIG),
        "space": Found(space if isinstance(space, str) and space else "|", TOKENIZER_CONFIG),
    }
