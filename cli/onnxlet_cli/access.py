"""The API key that this machine's own requests show to a function which asks for one: `ONNXLET_API_KEY`."""

import os
from collections.abc import Mapping

VARIABLE = "ONNXLET_API_KEY"


def with_key(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the key, where there is one: in both places, of which a cloud's own check may take one."""
    key = os.environ.get(VARIABLE)
    return {"authorization": f"Bearer {key}", "x-api-key": key, **headers} if key else dict(headers)


def remedy(registry_url: str = "URL") -> str:
    """What to do where a function asks for a key."""
    return f"set {VARIABLE} to a key of `onnxlet keys create NAME --registry {registry_url}`"
