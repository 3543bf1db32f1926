"""The `parameters` of a request, which several protocols have in the same form."""

from collections.abc import Mapping
from typing import Any

from onnxlet.errors import InvalidRequestError, json_word


def parse_parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object under `parameters`; an empty one if it is absent or null.

    Raises:
        InvalidRequestError: `parameters` is something else.
    """
    parameters = document.get("parameters")
    if not isinstance(parameters, dict | None):
        raise InvalidRequestError(f"parameters: expected an object, got {json_word(parameters)}")
    return parameters or {}
