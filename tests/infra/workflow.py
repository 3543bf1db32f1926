"""Enough of Google Cloud Workflows to run infra/gcp/batch.yaml: its steps in their order, its expressions as Python's.

What is left out: retries, parallel steps, subworkflows, and how Workflows counts steps and memory.
Source: Workflows, "Syntax overview" and "Standard library overview".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

Call = Callable[[Mapping[str, Any]], Any]

EXPRESSION = re.compile(r"\$\{(.*)\}", re.DOTALL)


class Document(dict[str, Any]):
    """A map whose keys are read as attributes, as in Workflows' expressions."""

    def __getattribute__(self, name: str) -> Any:
        """A key's value, before any method of Python's own."""
        if dict.__contains__(self, name):
            return _readable(dict.__getitem__(self, name))
        return super().__getattribute__(name)


def _readable(value: Any) -> Any:
    return Document(value) if isinstance(value, dict) else value


class Returned(Exception):  # noqa: N818 - how a step ends the workflow
    """The workflow's result."""


@dataclass
class Workflow:
    """An execution."""

    calls: Mapping[str, Call]
    """What `call` names."""
    environment: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    steps_taken: int = 0

    def run(self, document: Mapping[str, Any], arguments: Any) -> Any:
        """Run `main`; gives what it returns."""
        main = document["main"]
        self.values = {main["params"][0]: arguments}
        try:
            self._run_steps(main["steps"])
        except Returned as returned:
            return returned.args[0]
        return None

    def _run_steps(self, steps: list[dict[str, Any]]) -> None:
        names = [next(iter(step)) for step in steps]
        position = 0
        while position < len(steps):
            target = self._run_step(steps[position][names[position]])
            position = position + 1 if target is None else names.index(target)

    def _run_step(self, step: dict[str, Any]) -> str | None:
        """Run one step; gives the name of the next where it says so."""
        self.steps_taken += 1
        actions: dict[str, Callable[[Any], str | None]] = {
            "try": self._run_step,
            "assign": self._assign,
            "for": self._repeat,
            "steps": self._run_steps,
            "switch": self._choose,
        }
        target: str | None = step.get("next")
        if "call" in step:
            result = self.calls[step["call"]](self._evaluate(step["args"]))
            self.values |= {step["result"]: result} if "result" in step else {}
        for name, action in actions.items():
            target = (action(step[name]) if name in step else None) or target
        if "return" in step:
            raise Returned(self._evaluate(step["return"]))
        return target

    def _assign(self, assignments: list[dict[str, Any]]) -> None:
        for assignment in assignments:
            self.values |= {name: self._evaluate(value) for name, value in assignment.items()}

    def _repeat(self, loop: dict[str, Any]) -> None:
        for item in self._evaluate(loop["in"]):
            self.values[loop["value"]] = item
            self._run_steps(loop["steps"])

    def _choose(self, cases: list[dict[str, Any]]) -> str | None:
        taken = next((case for case in cases if self._evaluate(case["condition"])), None)
        return None if taken is None else self._run_step(taken)

    def _evaluate(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._evaluate(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._evaluate(each) for each in value]
        match = EXPRESSION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        library = {
            "null": None,
            "default": lambda given, otherwise: otherwise if given is None else given,
            "map": SimpleNamespace(get=dict.get),
            "list": SimpleNamespace(concat=lambda given, item: [*given, item]),
            "sys": SimpleNamespace(get_env=self.environment.__getitem__),
            "http": SimpleNamespace(default_retry=None),
        }
        values = {name: _readable(each) for name, each in self.values.items()}
        return eval(match[1], {"__builtins__": {}}, library | values)
