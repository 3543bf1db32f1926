"""The API key of the command's own requests: `ONNXLET_API_KEY`."""

import os
from collections.abc import Mapping

VARIABLE = "ONNXLET_API_KEY"


def with_key(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the key, if one is set: in two headers, since a cloud may use one of them itself."""
    key = os.environ.get(VARIABLE)
    return {"authorization": f"Bearer {key}", "x-api-key": key, **headers} if key else dict(headers)


def remedy(registry_url: str = "URL") -> str:
    """Return what to do if a function requires a key."""
    return f"set {VARIABLE} to a key of `onnxlet keys create NAME --registry {registry_url}`"
