"""Triton's own documents in addition to the V2 protocol: a model's configuration and the repository index.

Source: Triton, `extension_model_configuration.md` and `extension_model_repository.md`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import TensorSpec


def model_config(manifest: Manifest) -> dict[str, Any]:
    """Return a model's configuration, whose shapes include the batch dimension."""
    return {
        "name": manifest.model,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": 0,
        "input": [_tensor_config(spec) for spec in manifest.inputs],
        "output": [_tensor_config(spec) for spec in manifest.outputs],
        "parameters": {"version": {"string_value": str(manifest.version)}},
    }


def repository_index(catalogue: Mapping[str, Iterable[int]]) -> list[dict[str, str]]:
    """Return the index of a registry's models. All are ready, since the first request for a model loads it."""
    return [
        {"name": name, "version": str(version), "state": "READY", "reason": ""}
        for name, versions in catalogue.items()
        for version in versions
    ]


def _tensor_config(spec: TensorSpec) -> dict[str, Any]:
    datatype = "STRING" if spec.datatype.name == "BYTES" else spec.datatype.name
    shape = [-1 if isinstance(size, str) else size for size in spec.shape or ()]
    return {"name": spec.name, "data_type": f"TYPE_{datatype}", "dims": shape}
