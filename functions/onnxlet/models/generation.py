"""Generation: texts from a step model, images from random numbers. The same seed gives the same answer."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator

from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.generation import ImageGeneration, TextGeneration
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InferenceError, InvalidRequestError, InvalidTensorError, UnsupportedMediaError
from onnxlet.models.model import Model
from onnxlet.record import Record


class GenerateRequest(Record):
    """A text or images to generate."""

    prompt: str
    length: int
    """The number of tokens."""
    temperature: float
    """The scores are divided by it: 0 always takes the best token, 1 draws by the model's own probabilities."""
    top_k: int
    """The number of best tokens to draw from; 0 draws from all."""
    count: int
    """The number of images."""
    seed: int


def declaration_of(model: Model) -> TextGeneration | ImageGeneration:
    """Return the declaration of what a model generates.

    Raises:
        UnsupportedMediaError: the model generates nothing.
    """
    if model.manifest.generation is None:
        raise UnsupportedMediaError(f'model "{model.manifest.model}" generates nothing, its manifest says')
    return model.manifest.generation


def count_runs(declaration: TextGeneration | ImageGeneration, request: GenerateRequest) -> int:
    """Return how often the model runs for a request."""
    if isinstance(declaration, ImageGeneration):
        return request.count
    return len(request.prompt) + request.length


def generate_text(model: Model, request: GenerateRequest) -> str:
    """Continue a prompt token by token.

    Raises:
        InvalidRequestError: the prompt is empty, or has characters that are not in the model's vocabulary.
        InferenceError: ONNX Runtime failed, or the scores are not as declared.
    """
    declaration = model.manifest.generation
    assert isinstance(declaration, TextGeneration), "the caller has checked it"
    specs = {spec.name: spec for spec in model.manifest.inputs}
    state = {name: tensors.zeros(specs[name]) for name in declaration.state}
    source = random.Random(request.seed)  # noqa: S311 - to repeat, not to keep a secret
    outputs = declaration.outputs()

    def step(token: int) -> list[float]:
        """Move the model to its next state with one token, and return the scores of the token after it."""
        feed = {declaration.token: _token(declaration, specs[declaration.token], token), **state}
        results = model.run(feed, outputs)
        state.update({name: _next_state(specs[name], results[output]) for name, output in declaration.state.items()})
        return _scores(results[declaration.scores], len(declaration.vocabulary))

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


def generate_images(model: Model, request: GenerateRequest) -> Iterator[Tensor]:
    """Generate images from normally distributed random numbers.

    Yields:
        Each image, UINT8 (1, height, width, channels).

    Raises:
        InferenceError: ONNX Runtime failed.
    """
    declaration = model.manifest.generation
    assert isinstance(declaration, ImageGeneration), "the caller has checked it"
    spec = next(spec for spec in model.manifest.inputs if spec.name == declaration.latent)
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    source = random.Random(request.seed)  # noqa: S311 - to repeat, not to keep a secret
    for _ in range(request.count):  # one by one, so that the first images do not depend on the number of images
        numbers = array("f", (_normal(source) for _ in range(math.prod(shape))))
        latent = Tensor(DATATYPES["FP32"], shape, memoryview(numbers).cast("B"))
        outputs = model.run({declaration.latent: latent}, [declaration.images])
        yield model.to_pixels(outputs[declaration.images])


def _tokens(declaration: TextGeneration, prompt: str) -> list[int]:
    """Return the positions of a prompt's characters in the vocabulary."""
    positions = {token: index for index, token in enumerate(declaration.vocabulary)}
    unknown = sorted(set(prompt) - set(positions))
    if not prompt or unknown:
        expected = "".join(declaration.vocabulary)
        found = f"also {''.join(unknown)[:40]!r}" if unknown else "nothing"
        raise InvalidRequestError(f"text_input: expected characters of {expected[:200]!r}, got {found}")
    return [positions[character] for character in prompt]


def _token(declaration: TextGeneration, spec: TensorSpec, token: int) -> Tensor:
    """Return one token as the model's input."""
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    if declaration.encoding == "index":
        return json_tensors.from_values(spec.name, spec.datatype, shape, [token])
    row = [0.0] * len(declaration.vocabulary)
    row[token] = 1.0
    return json_tensors.from_values(spec.name, spec.datatype, (*shape[:-1], len(row)), row)


def _next_state(spec: TensorSpec, output: Tensor) -> Tensor:
    """Return an output of one step as the state that the next step takes.

    Raises:
        InferenceError: the output does not fit the input.
    """
    try:
        tensors.check(output, spec)
    except InvalidTensorError as error:
        raise InferenceError(f"the model's next state is not one that it takes: {error}") from error
    return output


def _scores(output: Tensor, size: int) -> list[float]:
    values = json_tensors.to_values(output)
    if len(values) != size or not all(map(math.isfinite, values)):
        raise InferenceError(f"expected {size} finite scores, one for each token, got {len(values)}")
    return values


def _draw(scores: list[float], request: GenerateRequest, source: random.Random) -> int:
    """Draw a token's position, each with the probability that the softmax of the scores gives it."""
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
    """Draw a normally distributed number from `random()` only, whose sequence Python promises to keep.

    Source: Box and Muller 1958.
    """
    return math.sqrt(-2 * math.log(1 - source.random())) * math.cos(2 * math.pi * source.random())
