"""Whether statements of IAM allow an action."""

import operator
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.infra.template import as_list


def is_allowed(
    asked: list[dict[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether IAM would allow an action, by identity policies alone."""
    matching = [
        statement["Effect"]
        for statement in asked
        if any(fnmatchcase(action, pattern) for pattern in statement.get("Action", []))
        and any(fnmatchcase(resource, pattern) for pattern in statement.get("Resource", []))
        and meets(statement.get("Condition", {}), context or {})
    ]
    return "Allow" in matching and "Deny" not in matching


def meets(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether a request meets a condition: a key that it lacks meets none but `Null`, which asks whether it does."""
    others = {operator: keys for operator, keys in condition.items() if operator != "Null"}
    nulls = condition.get("Null", {})
    return all((key not in context) == (value == "true") for key, value in nulls.items()) and _compares(others, context)


def _compares(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    comparisons: dict[str, Callable[[str, str], bool]] = {"StringEquals": operator.eq, "StringLike": fnmatchcase}
    return all(
        key in context and any(comparisons[operator](context[key], value) for value in as_list(values))
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


NEVER = (
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutObjectAcl",
    "s3:PutObjectTagging",
    "s3:PutBucketPolicy",
    "s3:DeleteBucket",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
)
