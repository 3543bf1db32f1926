"""Triton's own documents beside the V2 protocol, which its clients ask for: config, statistics, repository index.

Source: Triton, `extension_model_configuration.md`, `extension_statistics.md` and `extension_model_repository.md`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import TensorSpec


def model_config(manifest: Manifest) -> dict[str, Any]:
    """A model's configuration; the batch dimension, where there is one, is part of the shapes."""
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
    """The models of a registry. All are ready: each is loaded by the first request for it."""
    return [
        {"name": name, "version": str(version), "state": "READY", "reason": ""}
        for name, versions in catalogue.items()
        for version in versions
    ]


def _tensor_config(spec: TensorSpec) -> dict[str, Any]:
    datatype = "STRING" if spec.datatype.name == "BYTES" else spec.datatype.name
    shape = [-1 if isinstance(size, str) else size for size in spec.shape or ()]
    return {"name": spec.name, "data_type": f"TYPE_{datatype}", "dims": shape}
