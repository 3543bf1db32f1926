"""Sounds of Hugging Face's models: what the feature extractor's file says about the samples that a model takes."""

from onnxlet_publishing.importers.hugging_face.folder import Folder
from onnxlet_publishing.importers.settings import Found

FEATURES = "preprocessor_config.json"


def find_settings(folder: Folder) -> dict[str, Found]:
    """Return the rate and the normalization of the samples.

    Raises:
        UsageError: The file is not what transformers writes.
    """
    if not folder.has(FEATURES):
        return {}
    features = folder.read(FEATURES)
    settings = {"normalizes": Found(bool(features.get("do_normalize")), FEATURES)}
    rate = features.get("sampling_rate")
    if isinstance(rate, int):
        settings["sampling_rate"] = Found(rate, FEATURES, f"{rate} samples a second")
    return settings
