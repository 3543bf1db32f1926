"""AWS's own model of its API, as botocore holds it: what of a request a service would refuse for its form."""

import re
from collections.abc import Iterator
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

_loader = botocore.loaders.Loader()


def operation(service: str, name: str) -> Any:
    """The model of an operation by its API's name, as `CreateTrainingJob`."""
    return service_model(service).operation_model(name)


def service_model(service: str) -> Any:
    return botocore.model.ServiceModel(_loader.load_service_model(service, "service-2"), service)


def faults(service: str, name: str, request: dict[str, Any]) -> list[str]:
    """What of a request breaks the model: types, names, what is required, bounds, patterns and enumerations."""
    shape = operation(service, name).input_shape
    report = botocore.validate.ParamValidator().validate(request, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return found + list(_faults(request, shape, name))


def _faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    """What botocore itself leaves to the service."""
    kind = shape.type_name
    if kind in {"list", "map", "string"}:
        yield from _length(len(value), shape, path)
    elif kind in {"integer", "long"}:
        yield from _length(value, shape, path)
    if kind == "string":
        yield from _text(value, shape, path)
    for item, inner, where in _inside(value, shape, path):
        yield from _faults(item, inner, where)


def _inside(value: Any, shape: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """The parts of a value, each with its shape and its place."""
    if shape.type_name == "structure":
        yield from (
            (item, shape.members[name], f"{path}.{name}") for name, item in value.items() if name in shape.members
        )
    elif shape.type_name == "list":
        yield from ((item, shape.member, f"{path}[]") for item in value)
    elif shape.type_name == "map":
        yield from ((name, shape.key, f"{path}.{name} (its name)") for name in value)
        yield from ((item, shape.value, f"{path}.{name}") for name, item in value.items())


def _length(count: int, shape: Any, path: str) -> Iterator[str]:
    bounds = shape.metadata
    if not bounds.get("min", count) <= count <= bounds.get("max", count):
        yield f"{path}: expected {bounds.get('min')} to {bounds.get('max')}, got {count}"


def _text(value: str, shape: Any, path: str) -> Iterator[str]:
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        yield f"{path}: expected {pattern}, got {value!r}"
    if shape.enum and value not in shape.enum:
        yield f"{path}: expected one of {', '.join(shape.enum)}, got {value!r}"
