"""Generate: texts from a recurrent step model, images from random numbers; the same seed gives the same answer."""

import math
import os
import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxlet.contract import tensors
from onnxlet.contract.generation import ImageGeneration, TextGeneration
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import (
    InferenceError,
    InvalidRequestError,
    InvalidTensorError,
    UnsupportedMediaError,
    json_shown,
    json_word,
)
from onnxlet.limits import DEFAULT_GENERATE_LENGTH, MAX_IMAGES, MAX_SEED, MAX_TEMPERATURE
from onnxlet.media import images
from onnxlet.models.model import Model

DEFAULT_LENGTH = 100


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """What to generate."""

    prompt: str
    length: int
    """How many tokens."""
    temperature: float
    """By which scores are divided: 0 always takes the best token, 1 draws as the model says."""
    top_k: int
    """Draw among so many of the best tokens; 0 draws among all."""
    count: int
    """How many images."""
    seed: int


def parse_generate(document: Mapping[str, Any], longest: int = DEFAULT_GENERATE_LENGTH) -> GenerateRequest:
    """Read a request: fields of its own, or under `parameters` as the Open Inference Protocol has them.

    Source: Open Inference Protocol, `generate_rest.yaml` (`text_input`, `parameters`).

    Args:
        document: The request.
        longest: How many tokens, or images, one request may have.

    Raises:
        InvalidRequestError: a field of another type, or outside its range.
    """
    parameters = document.get("parameters")
    if not isinstance(parameters, dict | None):
        raise InvalidRequestError(f"parameters: expected an object, got {json_word(parameters)}")
    fields = {name: value for name, value in (*(parameters or {}).items(), *document.items()) if value is not None}
    prompt = fields.get("text_input", fields.get("prompt", ""))
    if not isinstance(prompt, str) or len(prompt) > longest:
        raise InvalidRequestError(f"text_input: expected a text of at most {longest} characters")
    seed = fields.get("seed")
    return GenerateRequest(
        prompt=prompt,
        length=_integer(fields, "length", min(DEFAULT_LENGTH, longest), 1, longest),
        temperature=_temperature(fields),
        top_k=_integer(fields, "top_k", 0, 0, 2**31),
        count=_integer(fields, "count", 1, 1, min(MAX_IMAGES, longest)),
        seed=_random_seed() if seed is None else _integer(fields, "seed", 0, 0, MAX_SEED),
    )


def generate_text(model: Model, request: GenerateRequest) -> str:
    """Continue a prompt, one token after another.

    Raises:
        InvalidRequestError: no prompt, or one with characters that the model has never seen.
        InferenceError: ONNX Runtime gave up, or the scores are not what was declared.
    """
    declaration = model.manifest.generation
    assert isinstance(declaration, TextGeneration), "the caller has looked"
    specs = {spec.name: spec for spec in model.manifest.inputs}
    state = {name: tensors.zeros(specs[name]) for name in declaration.state}
    source = random.Random(request.seed)  # noqa: S311 - to repeat, not to keep a secret
    outputs = declaration.outputs()

    def step(token: int) -> list[float]:
        """Give the model one token: it moves to its next state, and scores what may follow."""
        feed = {declaration.token: _token(declaration, specs[declaration.token], token), **state}
        found = model.run(feed, outputs)
        state.update({name: _next_state(specs[name], found[output]) for name, output in declaration.state.items()})
        return _scores(found[declaration.scores], len(declaration.vocabulary))

    scores: list[float] = []
    for token in _tokens(declaration, request.prompt):
        scores = step(token)
    text: list[str] = []
    while True:
        token = _draw(scores, request, source)
        text.append(declaration.vocabulary[token])
        if len(text) == request.length:
            return "".join(text)
        scores = step(token)


def generate_images(model: Model, request: GenerateRequest) -> list[bytes]:
    """PNG files made of normally distributed random numbers.

    Raises:
        InferenceError: ONNX Runtime gave up.
    """
    declaration = model.manifest.generation
    assert isinstance(declaration, ImageGeneration), "the caller has looked"
    spec = next(spec for spec in model.manifest.inputs if spec.name == declaration.latent)
    one = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    source = random.Random(request.seed)  # noqa: S311 - to repeat, not to keep a secret
    files = []
    for _ in range(request.count):  # one by one, so that the first images do not depend on how many follow
        numbers = array("f", (_normal(source) for _ in range(math.prod(one))))
        latent = Tensor(DATATYPES["FP32"], one, memoryview(numbers).cast("B"))
        found = model.run({declaration.latent: latent}, [declaration.images])
        files += images.encode_png(model.to_pixels(found[declaration.images]))
    return files


def count_runs(declaration: TextGeneration | ImageGeneration, request: GenerateRequest) -> int:
    """Return how often the model runs for a request."""
    if isinstance(declaration, ImageGeneration):
        return request.count
    return len(request.prompt) + request.length


def check_generates(model: Model) -> TextGeneration | ImageGeneration:
    """What a model generates.

    Raises:
        UnsupportedMediaError: nothing.
    """
    if model.manifest.generation is None:
        raise UnsupportedMediaError(f'model "{model.manifest.model}" generates nothing, its manifest says')
    return model.manifest.generation


def _random_seed() -> int:
    return int.from_bytes(os.urandom(6))


def _integer(fields: Mapping[str, Any], name: str, default: int, at_least: int, at_most: int) -> int:
    value = fields.get(name, default)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not at_least <= value <= at_most:
        raise InvalidRequestError(f"{name}: expected an integer from {at_least} to {at_most}, got {json_shown(value)}")
    return value


def _temperature(fields: Mapping[str, Any]) -> float:
    value = fields.get("temperature", 1.0)
    if type(value) not in {int, float} or not 0 <= value <= MAX_TEMPERATURE:
        raise InvalidRequestError(
            f"temperature: expected a number from 0 to {MAX_TEMPERATURE}, got {json_shown(value)}"
        )
    return float(value)


def _tokens(declaration: TextGeneration, prompt: str) -> list[int]:
    """The prompt as positions in the vocabulary."""
    positions = {token: index for index, token in enumerate(declaration.vocabulary)}
    unknown = sorted(set(prompt) - set(positions))
    if not prompt or unknown:
        expected = "".join(declaration.vocabulary)
        found = f"also {''.join(unknown)[:40]!r}" if unknown else "nothing"
        raise InvalidRequestError(f"text_input: expected characters of {expected[:200]!r}, got {found}")
    return [positions[character] for character in prompt]


def _token(declaration: TextGeneration, spec: TensorSpec, token: int) -> Tensor:
    """One token as the model takes it."""
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    if declaration.encoding == "index":
        return tensors.from_values(spec.name, spec.datatype, shape, [token])
    row = [0.0] * len(declaration.vocabulary)
    row[token] = 1.0
    return tensors.from_values(spec.name, spec.datatype, (*shape[:-1], len(row)), row)


def _next_state(spec: TensorSpec, output: Tensor) -> Tensor:
    """Return what a step gives as the state that the next step takes.

    Raises:
        InferenceError: The model gives a state that it does not take itself.
    """
    try:
        tensors.check(output, spec)
    except InvalidTensorError as error:
        raise InferenceError(f"the model's next state is not one that it takes: {error}") from error
    return output


def _scores(output: Tensor, size: int) -> list[float]:
    values = tensors.to_values(output)
    if len(values) != size or not all(map(math.isfinite, values)):
        raise InferenceError(f"expected {size} finite scores, one for each token, got {len(values)}")
    return values


def _draw(scores: list[float], request: GenerateRequest, source: random.Random) -> int:
    """A position, drawn as the softmax of the scores says."""
    ranked = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    if request.temperature == 0:
        return ranked[0]
    candidates = ranked[: request.top_k or len(ranked)]
    best = scores[candidates[0]]
    weights = [math.exp((scores[index] - best) / request.temperature) for index in candidates]
    point = source.random() * sum(weights)
    for index, weight in zip(candidates, weights, strict=True):
        point -= weight
        if point < 0:
            return index
    return candidates[-1]  # rounding


def _normal(source: random.Random) -> float:
    """A normally distributed number (Box and Muller 1958), from `random()` alone, which Python promises to keep."""
    return math.sqrt(-2 * math.log(1 - source.random())) * math.cos(2 * math.pi * source.random())
