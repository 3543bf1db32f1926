"""Payload -> tensors -> answer: images in, labels out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxlet.contract import tensors
from onnxlet.contract.manifest import CHANNELS, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import InvalidRequestError, TooLargeError, UnreadablePayloadError, UnsupportedMediaError
from onnxlet.models import Model

if TYPE_CHECKING:
    from PIL import Image

IMAGE_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
"""Media types of images, with Pillow's name for each; Pillow tries no other format."""

MEDIA_TYPE_BY_SUFFIX = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png"}
"""Media types of stored objects, by the suffix of their key."""

MAX_PIXELS = 50_000_000
"""Of one image: a phone's largest, 150 MB when decoded."""

DEFAULT_TOP_K = 5


def prepare(model: Model) -> None:
    """Import what this model's payloads need, before the first of them arrives."""
    if model.manifest.preprocess is not None:
        from PIL import Image, ImageOps  # noqa: F401 - to have been imported is all

        Image.preinit()


def predict(model: Model, media_type: str, body: bytes, top_k: int = DEFAULT_TOP_K) -> list[dict[str, Any]]:
    """Answer a payload: one prediction for each image in it.

    Raises:
        InvalidRequestError: an empty body.
        UnsupportedMediaError: a payload of a kind that this model does not take.
        UnreadablePayloadError, TooLargeError: not an image, or too large a one.
        InferenceError: the model cannot run on it.
    """
    if not body:
        raise InvalidRequestError("the body is empty, expected an image")
    declaration = model.manifest.preprocess
    if declaration is None:
        raise UnsupportedMediaError(
            f'model "{model.manifest.model}" takes tensors, not images: POST /v2/models/{model.manifest.model}/infer'
        )
    if media_type not in IMAGE_FORMATS:
        raise UnsupportedMediaError(f"expected {' or '.join(IMAGE_FORMATS)}, got {media_type or 'no media type'}")
    outputs = model.run_images(decode_image(body, media_type, declaration))
    if model.postprocess is None:
        return [{name: tensors.to_values(tensor) for name, tensor in outputs.items()}]
    return _label(model, outputs[model.manifest.outputs[0].name], top_k)


def decode_image(body: bytes, media_type: str, declaration: ImagePreprocess) -> Tensor:
    """Decode an image to UINT8 (1, height, width, channels), upright and with the declared number of channels.

    Raises:
        UnreadablePayloadError: not an image of this type, or a damaged one.
        TooLargeError: more than `MAX_PIXELS`.
    """
    # Imported here, and by `prepare`: a function that only answers tensors never pays for it.
    from io import BytesIO

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(body), formats=[IMAGE_FORMATS[media_type]]) as image:
            _check_pixels(image)
            upright = _to_eight_bits(_turn_upright(image)).convert(CHANNELS[declaration.channels])
    except UnidentifiedImageError as error:
        raise UnreadablePayloadError(f"expected {media_type}, got {len(body)} bytes that are none") from error
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"the image is too large: {error}") from error
    except (TooLargeError, MemoryError):
        raise
    except Exception as error:  # what Pillow's decoders raise on damaged data has no common base but this
        raise UnreadablePayloadError(f"the {media_type} is damaged: {error}") from error
    shape = (1, upright.height, upright.width, declaration.channels)
    return Tensor(DATATYPES["UINT8"], shape, memoryview(upright.tobytes()))


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise TooLargeError(
            f"the image has {image.width} x {image.height} pixels, expected at most {MAX_PIXELS} in all"
        )


def _turn_upright(image: Image.Image) -> Image.Image:
    """The image as its camera was held."""
    from PIL import ImageOps

    # Pillow keeps what it has read. It would write the rest again too, and fail on what some cameras put there.
    image.getexif()
    for written_again in ("exif", "Raw profile type exif"):
        image.info.pop(written_again, None)
    return ImageOps.exif_transpose(image)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """The image with values up to 255; Pillow's own `convert` cuts off 16-bit greys instead of scaling them."""
    return image.point(lambda value: value * (1 / 256)) if image.mode.startswith("I;16") else image


def media_type_of(key: str) -> str:
    """The media type that the suffix of an object's key stands for; the suffix itself where it stands for none."""
    suffix = key.rpartition("/")[2].rpartition(".")[2].lower()
    return MEDIA_TYPE_BY_SUFFIX.get(suffix, suffix)


def _label(model: Model, output: Tensor, top_k: int) -> list[dict[str, Any]]:
    classification = model.manifest.classification
    assert classification is not None, "the contract gives a postprocess graph to classifications alone"
    labels = classification.labels
    count = min(top_k, len(labels))
    indices, probabilities = (tensors.to_values(tensor) for tensor in model.classify(output, count))
    ranked = [
        {"label": labels[index], "probability": probability}
        for index, probability in zip(indices, probabilities, strict=True)
    ]
    return [{**ranked[row], "top": ranked[row : row + count]} for row in range(0, len(ranked), count)]
