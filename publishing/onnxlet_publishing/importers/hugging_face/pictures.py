"""Models of pictures in Hugging Face's form: the preprocessing, the head of a detector, and the vector of a picture."""

from typing import Any

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.limits import MAX_SIDE_PIXELS
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.hugging_face.folder import CONFIG, IMAGE_CONFIG, Folder
from onnxlet_publishing.importers.settings import Found
from onnxlet_publishing.onnx_file import OnnxFile

RESAMPLINGS = {2: "bilinear", 3: "bicubic"}
"""The names of Pillow's numbers."""

CONVNEXT_WHOLE_PIXELS = 384
"""The size from which on ConvNeXt's preprocessing stretches a picture to a square, and crops nothing."""

SQUARE_OF = 4 / 3
"""The ratio of a detector's longer side to its shorter side, for the usual photo."""

DETR = ("detr", "yolos", "table-transformer")
"""The detectors with one more class for nothing; the others give each class a probability of its own."""

CLASS_TOKENS = ("vit", "deit", "beit", "dinov2", "dinov2_with_registers", "vit_mae", "vit_msn", "dino_vits", "ijepa")
"""The model types whose first vector stands for the whole picture."""

PIPELINE_THRESHOLD = 0.5
"""The threshold of transformers' pipeline for detectors."""


def find_settings(folder: Folder, model: OnnxFile, task: str | None) -> dict[str, Found]:
    """Return the settings of a model of pictures.

    Raises:
        UsageError: The preprocessing is one that is not served.
    """
    settings = {}
    if folder.has(IMAGE_CONFIG):
        preprocess = _preprocess(folder, model)
        settings["preprocess"] = Found(preprocess, IMAGE_CONFIG, _describe(preprocess))
    if task == "object-detection":
        kind = folder.config.get("model_type")
        settings["head"] = Found("detr" if kind in DETR else "rt-detr", CONFIG)
        settings["output"] = Found(_named(model, "logits", "boxes"), CONFIG)
        settings["threshold"] = Found(PIPELINE_THRESHOLD, "as transformers' pipeline")
    elif task == "image-segmentation":
        settings["head"] = Found("classes", CONFIG)
        settings["output"] = Found(_named(model, "logits"), CONFIG)
    elif task == "image-feature-extraction":
        settings |= _vector(folder, model)
    return settings


def advise(folder: Folder) -> dict[str, str]:
    """Return what a folder without preprocessing lacks."""
    return {} if folder.has(IMAGE_CONFIG) else {"preprocess": f"got no {IMAGE_CONFIG} in {folder.path}"}


def _named(model: OnnxFile, *words: str) -> tuple[str, ...]:
    """Return the output with each of some words in its name."""
    names = [spec.name for spec in model.outputs]
    return tuple(next((name for name in names if word in name), names[0]) for word in words)


def _vector(folder: Folder, model: OnnxFile) -> dict[str, Found]:
    for spec in model.outputs:
        if spec.name == "image_embeds":
            return {"output": Found((spec.name,), CONFIG), "pooling": Found("none", f'the output "{spec.name}"')}
    kind = folder.config.get("model_type")
    pooling = "cls" if kind in CLASS_TOKENS else "mean"
    return {
        "output": Found(_named(model, "last_hidden_state"), CONFIG),
        "pooling": Found(pooling, f"{CONFIG}, {kind}"),
    }


def _preprocess(folder: Folder, model: OnnxFile) -> ImagePreprocess:
    """Return the steps of transformers' image processor."""
    config = folder.read(IMAGE_CONFIG)
    steps: dict[str, Any] = {**_fit(folder, config, model), **_numbers(folder, config), **_colours(folder, config)}
    return ImagePreprocess(channels=3, layout="NCHW", **steps)


def _numbers(folder: Folder, config: dict[str, Any]) -> dict[str, Any]:
    steps: dict[str, Any] = {"scale": _factor(config)}
    mean, std = config.get("image_mean"), config.get("image_std")
    if config.get("do_normalize", True) and (mean is not None or std is not None):
        if mean is None or std is None:
            raise _unserved(folder, f"image_mean {mean} with image_std {std}")
        steps |= {"mean": tuple(mean), "std": tuple(std)}
    return steps


def _factor(config: dict[str, Any]) -> float:
    """Return the number by which a pixel is multiplied."""
    factor = config.get("rescale_factor") if config.get("do_rescale", True) else 1
    return 1 / 255 if factor is None else float(factor)


def _colours(folder: Folder, config: dict[str, Any]) -> dict[str, Any]:
    resample = config.get("resample", 2)
    if resample not in RESAMPLINGS:
        raise _unserved(folder, f"resample {resample}")
    if config.get("rescale_offset"):
        raise _unserved(folder, "rescale_offset")
    colours = "BGR" if config.get("do_flip_channel_order") else "RGB"
    return {"colours": colours, "resampling": RESAMPLINGS[resample]}


def _fit(folder: Folder, config: dict[str, Any], model: OnnxFile) -> dict[str, Any]:
    """Return how a picture gets the model's size."""
    size = config.get("size", config.get("crop_size"))
    crop = _sides(config["crop_size"]) if config.get("do_center_crop") and "crop_size" in config else None
    shortest = size.get("shortest_edge") if isinstance(size, dict) else None
    longest = size.get("longest_edge") if isinstance(size, dict) else None
    if not config.get("do_resize", True) or size is None:
        return _of_input(folder, model)
    if shortest is not None and "crop_pct" in config:
        return _convnext(shortest, float(config["crop_pct"] or 1))
    if isinstance(size, int) and crop is not None:
        shortest = size  # older versions of CLIP's processor
    if shortest is not None and crop is not None:
        return {"fit": "crop", "shorter_side": shortest, "height": crop[0], "width": crop[1]}
    if shortest is not None:
        side = min(longest or round(shortest * SQUARE_OF), round(shortest * SQUARE_OF))
        return {"fit": "pad", "height": side, "width": side, "pad_value": _mean_pixel(config)}
    sides = _sides(size)
    if sides is None or crop not in {None, sides}:
        raise _unserved(folder, f"size {size} with crop_size {config.get('crop_size')}")
    return {"height": sides[0], "width": sides[1]}


def _convnext(side: int, ratio: float) -> dict[str, Any]:
    if side >= CONVNEXT_WHOLE_PIXELS:
        return {"height": side, "width": side}
    return {"fit": "crop", "shorter_side": int(min(side / ratio, MAX_SIDE_PIXELS)), "height": side, "width": side}


def _mean_pixel(config: dict[str, Any]) -> float:
    """Return the pixel that normalizing makes about 0, as transformers pads."""
    mean = config.get("image_mean") or [0.0]
    return float(round(sum(mean) / len(mean) / (_factor(config) or 1.0))) if config.get("do_normalize", True) else 0.0


def _sides(size: object) -> tuple[int, int] | None:
    """Return height and width; None for a size in another form."""
    if isinstance(size, int):
        return size, size
    height, width = (size.get("height"), size.get("width")) if isinstance(size, dict) else (None, None)
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _of_input(folder: Folder, model: OnnxFile) -> dict[str, Any]:
    """Return the size of a model whose processor resizes nothing: the fixed shape of its input."""
    height, width = (model.inputs[0].shape or ())[-2:] or (None, None)
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return {"height": height, "width": width}
    raise _unserved(folder, "pictures of any size")


def _unserved(folder: Folder, what: str) -> UsageError:
    return UsageError(
        f"{folder.path / IMAGE_CONFIG}: expected a preprocessing that is served, got {what}: "
        "declare another with --preprocess FILE"
    )


def _describe(declaration: ImagePreprocess) -> str:
    size = f"{declaration.width} x {declaration.height} {declaration.colours}"
    return f"{size}, {declaration.fit}, {declaration.resampling}"
