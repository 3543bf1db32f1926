"""The description of the HTTP API: `openapi.json`, adapted to the function's settings.

Source: OpenAPI Specification 3.1.0.
"""

import os
from typing import Any
from urllib.parse import quote

import orjson

from onnxlet import __version__
from onnxlet.limits import MAX_EXPLAIN_RUNS, MAX_IMAGES, MAX_LENGTH

FILE = os.path.join(os.path.dirname(__file__), "openapi.json")

KEY_RESPONSES = {"401": "Unauthenticated", "403": "Forbidden", "429": "QuotaExceeded"}
"""The responses that every route may give if API keys are required."""


def describe(
    *,
    requires_keys: bool = False,
    base_path: str = "",
    explain_runs: int = MAX_EXPLAIN_RUNS,
    generate_length: int = MAX_LENGTH,
) -> dict[str, Any]:
    """Return the OpenAPI document of a function.

    Args:
        requires_keys: Whether requests need an API key.
        base_path: The prefix of every path.
        explain_runs: The maximum of runs for one explanation; 0 omits the routes of explanations.
        generate_length: The maximum of tokens in one generated text; 0 omits the routes of generation.
    """
    with open(FILE, "rb") as file:
        document: dict[str, Any] = orjson.loads(file.read())
    document["info"]["version"] = __version__
    if base_path:
        document["servers"] = [{"url": quote(base_path)}]
    for ending, maximum in (("/explain", explain_runs), ("/generate", generate_length)):
        if not maximum:
            document["paths"] = {path: item for path, item in document["paths"].items() if not path.endswith(ending)}
    components = document["components"]
    components["parameters"]["budget_runs"]["schema"]["maximum"] = explain_runs
    generation = components["schemas"]["GenerateRequest"]["properties"]
    generation["text_input"]["maxLength"] = generation["length"]["maximum"] = generate_length
    generation["count"]["maximum"] = min(MAX_IMAGES, generate_length)
    if requires_keys:
        _require_keys(document)
    return document


def _require_keys(document: dict[str, Any]) -> None:
    """Add how an API key is sent, and the responses to a request whose key is refused."""
    document["security"] = [{name: []} for name in document["components"]["securitySchemes"]]
    responses = {status: {"$ref": f"#/components/responses/{name}"} for status, name in KEY_RESPONSES.items()}
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"] |= responses
