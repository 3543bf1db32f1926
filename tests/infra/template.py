"""template.yaml as CloudFormation would see it: SAM's translation, with each `Ref`, `GetAtt` and `Sub` made a name.

A reference to a resource becomes `<Models>`, one to its attribute `<Models.Arn>`, one to a parameter its value.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"

PSEUDO = {
    "AWS::AccountId": "account",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}

NOTHING = object()
"""`AWS::NoValue`."""


Loader: Any = type("Loader", (yaml.SafeLoader,), {})
"""Of YAML with CloudFormation's short forms."""


def _long_form(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


Loader.add_multi_constructor("!", _long_form)


@cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)  # our own file
    return document


def read() -> dict[str, Any]:
    """The template as it is written, in long forms."""
    return copy.deepcopy(_read())


def parameters(**given: object) -> dict[str, str]:
    """All parameters: the defaults, but for those that are given."""
    found = {name: str(item.get("Default", "")) for name, item in read()["Parameters"].items()}
    assert given.keys() <= found.keys(), f"no parameter {given.keys() - found.keys()}"
    return {**found, **{name: str(value) for name, value in given.items()}}


def translate(**given: object) -> "Stack":
    """The stack that SAM makes of the template, for some parameters."""
    from samtranslator.translator.transform import transform

    template = read()
    template["Globals"]["Function"]["CodeUri"] = "s3://code/package.zip"
    template["Resources"]["Batch"]["Properties"]["DefinitionUri"] = "s3://code/batch.asl.json"
    values = parameters(**given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", PSEUDO["AWS::Region"])  # the translator asks boto3 for the partition
        translated = transform(template, dict(values), _NoPolicies())
    return Stack(translated, values)


class _NoPolicies:
    """Loads no managed policies: the template names none of SAM's own."""

    def load(self) -> dict[str, str]:
        return {}


class Stack:
    """A translated template and its parameters."""

    def __init__(self, template: Mapping[str, Any], values: Mapping[str, str]) -> None:
        self.template = template
        self.values = values

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Those whose condition holds, with all references resolved."""
        found = {}
        for name, resource in self.template["Resources"].items():
            if self.holds(resource.get("Condition")):
                found[name] = self.resolve(resource)
        return found

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of all resources of a type."""
        return {name: item.get("Properties", {}) for name, item in self.resources.items() if item["Type"] == kind}

    def outputs(self) -> dict[str, Any]:
        """The values of the outputs whose condition holds."""
        outputs = self.template["Outputs"].items()
        return {name: self.resolve(item["Value"]) for name, item in outputs if self.holds(item.get("Condition"))}

    def holds(self, name: str | None) -> bool:
        """Whether a condition holds."""
        return name is None or bool(self.resolve(self.template["Conditions"][name]))

    def resolve(self, value: Any) -> Any:
        """A value without functions."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name in {"Ref", "Condition"} or name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NOTHING}

    def _call(self, function: str, argument: Any) -> Any:
        functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._reference,
            "Condition": self.holds,
            "GetAtt": lambda names: f"<{names[0]}.{names[1]}>",
            "Sub": self._substitute,
            "If": lambda branches: self.resolve(branches[1] if self.holds(branches[0]) else branches[2]),
            "Not": lambda conditions: not self.resolve(conditions[0]),
            "And": lambda conditions: all(self.resolve(condition) for condition in conditions),
            "Equals": lambda pair: str(self.resolve(pair[0])) == str(self.resolve(pair[1])),
            "Join": lambda parts: parts[0].join(self.resolve(parts[1])),
            "Select": lambda choice: self.resolve(choice[1])[int(choice[0])],
            "Split": lambda parts: self.resolve(parts[1]).split(parts[0]),
            "FindInMap": self._look_up,
        }
        assert function in functions, f"the template uses Fn::{function}, which this reader does not know"
        return functions[function](argument)

    def _look_up(self, names: list[Any]) -> Any:
        first, key, name = map(self.resolve, names)
        return self.template["Mappings"][first][key][name]

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOTHING
        if name in PSEUDO:
            return PSEUDO[name]
        if name not in self.values:
            return f"<{name}>"
        is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
        return self.values[name].split(",") if is_list else self.values[name]

    def _substitute(self, argument: Any) -> str:
        text, names = argument if isinstance(argument, list) else (argument, {})
        resolved = {name: self.resolve(value) for name, value in names.items()}

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in resolved:
                return str(resolved[name])
            return f"<{name}>" if "." in name else str(self._reference(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text)


def statements(policy: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statements of a policy document, with actions and resources as lists."""
    for statement in as_list(policy["Statement"]):
        yield {**statement, **{name: as_list(statement[name]) for name in ("Action", "Resource") if name in statement}}


def as_list(value: Any) -> list[Any]:
    """A policy has one, or a list."""
    return value if isinstance(value, list) else [value]
