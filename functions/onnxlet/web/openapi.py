"""The description of the HTTP face as an OpenAPI document, made from the table of routes.

Source: OpenAPI Specification 3.1.0.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from onnxlet import __version__
from onnxlet.contract.tensors import DATATYPES
from onnxlet.limits import (
    MAX_EXPLAIN_MS,
    MAX_EXPLAIN_RUNS,
    MAX_IMAGES,
    MAX_LENGTH,
    MAX_SEED,
    MAX_TEMPERATURE,
    MAX_TOP_K,
    MIN_EXPLAIN_RUNS,
)
from onnxlet.media.media_types import MEDIA_TYPES, MULTIPART
from onnxlet.web.routes import Route

BINARY = "application/octet-stream"
JSON = "application/json"


def describe(
    routes: Iterable[Route],
    *,
    requires_keys: bool = False,
    base_path: str = "",
    explain_runs: int = MAX_EXPLAIN_RUNS,
    generate_length: int = MAX_LENGTH,
) -> dict[str, Any]:
    """Return the document for these routes.

    Args:
        routes: All that the function has.
        requires_keys: Whether it asks for API keys.
        base_path: What stands in front of every path.
        explain_runs: How many runs one explanation may have; 0 leaves its routes out.
        generate_length: How many tokens one request may generate; 0 leaves its routes out.
    """
    bounds = {"ExplainRequest": explain_runs, "GenerateRequest": generate_length}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if bounds.get(route.takes) == 0:
            continue
        operation = _operation(route, explain_runs)
        operation["responses"] |= _REFUSALS if requires_keys else {}
        paths.setdefault(route.pattern, {})[route.method.lower()] = operation
    schemas = {**SCHEMAS, "GenerateRequest": _generate_request(generate_length)}
    components = {"schemas": schemas, "securitySchemes": _SCHEMES} if requires_keys else {"schemas": schemas}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "onnxlet",
            "version": __version__,
            "description": "ONNX models behind a cloud function. A model is named `name` or `name@alias`.",
        },
        **({"servers": [{"url": quote(base_path)}]} if base_path else {}),
        "paths": paths,
        "components": components,
        **({"security": [{name: []} for name in _SCHEMES]} if requires_keys else {}),
    }


def _operation(route: Route, explain_runs: int) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{route.method}{route.pattern}").strip("_").lower()
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": (route.endpoint.__doc__ or "").partition("\n")[0],
        "parameters": [_path_parameter(each) for each in re.findall(r"{(\w+)}", route.pattern)],
        "responses": {
            "200": {"description": "The answer.", "content": _answers(route)},
            "default": _error("Why there is none."),
        },
    }
    operation["parameters"] += _PARAMETERS.get(route.takes, [])
    if route.takes == "ExplainRequest":
        operation["parameters"].append(_budget_runs(explain_runs))
    if route.takes:
        operation["requestBody"] = {"required": True, "content": _bodies(route.takes)}
    return operation


def _bodies(schema: str) -> dict[str, Any]:
    if schema in {"Payload", "Invocation", "ExplainRequest"}:
        kinds: dict[str, Any] = {kind: {} for kind in (*MEDIA_TYPES, BINARY)}
        parts = {"type": "object", "additionalProperties": {"type": "string", "contentEncoding": "binary"}}
        return {**kinds, JSON: {"schema": _reference(schema)}, MULTIPART: {"schema": parts}}
    bodies = {JSON: {"schema": _reference(schema)}}
    return {**bodies, BINARY: {}} if schema == "InferRequest" else bodies


def _answers(route: Route) -> dict[str, Any]:
    if route.gives == "File":
        return {"*/*": {"schema": _reference("File")}}
    answers: dict[str, Any] = {JSON: {"schema": _reference(route.gives)}}
    if route.pattern == "/":
        answers["text/html"] = {}
    if route.gives == "InferResponse" or route.takes == "Invocation":
        answers[BINARY] = {}
    if route.gives in {"GenerateResponse", "Explanation"}:
        answers["image/png"] = {}
    return answers


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": _reference("Error")}}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _budget_runs(at_most: int) -> dict[str, Any]:
    return {
        "name": "budget_runs",
        "in": "query",
        "description": "How many rows may run through the model.",
        "schema": {"type": "integer", "minimum": MIN_EXPLAIN_RUNS, "maximum": at_most},
    }


def _generate_request(longest: int) -> dict[str, Any]:
    return _object(
        (),
        text_input={"type": "string", "maxLength": longest},
        length={"type": "integer", "minimum": 1, "maximum": longest},
        temperature={"type": "number", "minimum": 0, "maximum": MAX_TEMPERATURE},
        top_k=_COUNT,
        count={"type": "integer", "minimum": 1, "maximum": min(MAX_IMAGES, longest)},
        seed={"type": "integer", "minimum": 0, "maximum": MAX_SEED},
        parameters={"type": "object"},
    )


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
"""Either way an API key is shown."""
_REFUSALS = {
    "401": _error("No API key, or none that is good."),
    "403": _error("A model that the API key may not name."),
    "429": _error("The API key has no request left today."),
}
_TEXT = {"type": "string"}
_TRUTH = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_ANYTHING: dict[str, Any] = {}
_PATH_PARAMETERS = {
    "model": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}(@[a-z0-9][a-z0-9._-]{0,62})?$"},
    "version": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "file": {"type": "string", "pattern": "^[a-z.-]{1,80}$"},
}
_TOP_K = {"name": "top_k", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K}}
_JSON_LENGTH = {
    "name": "inference-header-content-length",
    "in": "header",
    "description": "How many bytes of the body are JSON, where binary tensors follow; 0 where the body is one tensor.",
    "schema": _COUNT,
}
_EXPLAIN = [
    {"name": "target", "in": "query", "description": "A label; by default the predicted one.", "schema": _TEXT},
    {
        "name": "budget_ms",
        "in": "query",
        "description": "The milliseconds in which they may.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_EXPLAIN_MS},
    },
]
_PARAMETERS = {
    "Payload": [_TOP_K],
    "Invocation": [_TOP_K],
    "InferRequest": [_JSON_LENGTH],
    "ExplainRequest": _EXPLAIN,
}
"""Of a request beside its path, by its schema."""
_DATATYPE = {"type": "string", "enum": list(DATATYPES)}
_SHAPE = _list({"type": "integer", "minimum": -1})
_SPEC = _object(("name", "datatype", "shape"), name=_TEXT, datatype=_DATATYPE, shape=_SHAPE)
_SIZES = _list(_COUNT)
_IMAGE = _object(("b64",), b64=_TEXT)
_NUMBER = {"type": "number"}
_EXPLAINED = {"model": _TEXT, "version": _COUNT, "label": _TEXT, "probability": _NUMBER, "runs": _COUNT}
_EXPLAINED |= {"milliseconds": _NUMBER}
"""What every explanation says."""

SCHEMAS: dict[str, Any] = {
    "Object": {"type": "object"},
    "File": {"type": "string", "format": "binary"},
    "Error": _object(("error", "code"), error=_TEXT, code=_TEXT),
    "Health": _object(("live", "ready"), live=_TRUTH, ready=_TRUTH),
    "ServerMetadata": _object(("name", "version", "extensions"), name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
    "Models": _object(("models",), models=_list(_TEXT)),
    "ModelMetadata": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_list(_SPEC),
        outputs=_list(_SPEC),
        problem=_TEXT,
    ),
    "Manifest": _object(
        ("model", "version", "inputs", "outputs", "artifacts"),
        model=_TEXT,
        version=_COUNT,
        inputs=_list({"type": "object"}),
        outputs=_list({"type": "object"}),
        artifacts=_list({"type": "object"}),
    ),
    "ModelReady": _object(("name", "ready"), name=_TEXT, ready=_TRUTH),
    "ModelStatus": _object(("name", "ready"), name=_TEXT, ready=_TRUTH, model_version_status=_list({"type": "object"})),
    "Statistics": _object(("model_stats",), model_stats=_list({"type": "object"})),
    "RepositoryIndex": _list(_object(("name", "version", "state"), name=_TEXT, version=_TEXT, state=_TEXT)),
    "InferRequest": _object(
        ("inputs",),
        id=_TEXT,
        parameters={"type": "object"},
        inputs=_list(
            _object(
                ("name", "datatype", "shape"),
                name=_TEXT,
                datatype=_DATATYPE,
                shape=_SIZES,
                parameters={"type": "object"},
                data=_ANYTHING,
            )
        ),
        outputs=_list(_object(("name",), name=_TEXT, parameters={"type": "object"})),
    ),
    "InferResponse": _object(
        ("model_name", "model_version", "outputs"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        outputs=_list(_object(("name", "datatype", "shape"), name=_TEXT, datatype=_DATATYPE, shape=_SIZES)),
    ),
    "PredictRequest": {
        "anyOf": [
            _object(("instances",), instances=_list(_ANYTHING), parameters={"type": "object"}),
            _object(("inputs",), inputs=_ANYTHING),
        ]
    },
    "PredictResponse": {
        "anyOf": [_object(("predictions",), predictions=_list(_ANYTHING)), _object(("outputs",), outputs=_ANYTHING)]
    },
    "Payload": {
        "anyOf": [
            _object(("instances",), instances=_list(_ANYTHING)),
            _list(_ANYTHING),
            {"type": "string", "description": "One instance: base64 of an image, or a text."},
            {"type": "object", "description": "One instance: a value for each input by its name."},
            _IMAGE,
            _object(("image_path",), image_path=_TEXT),
        ]
    },
    "Predictions": _object(
        ("model", "version", "predictions"), model=_TEXT, version=_COUNT, predictions=_list(_ANYTHING)
    ),
    "GenerateRequest": _generate_request(MAX_LENGTH),
    "GenerateResponse": _object(
        ("model_name", "model_version", "seed"),
        model_name=_TEXT,
        model_version=_TEXT,
        seed=_COUNT,
        text_output=_TEXT,
        images=_list(_IMAGE),
    ),
    "ExplainRequest": _reference("Payload"),
    "Explanation": {
        "anyOf": [
            _object(
                (*_EXPLAINED, "map", "overlay"),
                **_EXPLAINED,
                map=_object(
                    ("name", "datatype", "shape", "data"),
                    name=_TEXT,
                    datatype=_DATATYPE,
                    shape=_SIZES,
                    data=_list(_NUMBER),
                ),
                overlay=_IMAGE,
            ),
            _object(
                (*_EXPLAINED, "baseline_probability", "contributions"),
                **_EXPLAINED,
                baseline_probability=_NUMBER,
                contributions=_list(
                    _object(
                        ("input", "index", "value", "baseline", "contribution"),
                        input=_TEXT,
                        index=_SIZES,
                        contribution=_NUMBER,
                    )
                ),
            ),
        ]
    },
    "Invocation": {
        "anyOf": [_object(("inputs",), inputs=_ANYTHING, model=_TEXT), _object(("instances",), model=_TEXT)]
    },
}
