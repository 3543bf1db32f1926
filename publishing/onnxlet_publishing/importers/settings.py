"""Settings: what an importer finds out about a model, and what the user says instead with options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from onnxlet.contract.document import Document
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.source import read_bytes


class Documented(Protocol):
    """A declaration that can be written into a manifest."""

    def to_document(self) -> dict[str, Any]:
        """Return the declaration as JSON."""


Declaration = TypeVar("Declaration", bound=Documented)

SHOWN_LABELS = 4
SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Overrides:
    """The settings of a model that the user gives; None where the importer decides.

    Each field is an option of `onnxlet publish` with the same name.
    """

    task: str | None = None
    labels: Path | None = None
    activation: str | None = None
    preprocess: Path | None = None
    generation: Path | None = None
    tokenizer: Path | None = None
    pooling: str | None = None
    normalize: bool | None = None
    max_length: int | None = None
    threshold: float | None = None
    columns: str | None = None
    """The names of a table's columns with commas between them, or a file with them."""
    sampling_rate: int | None = None

    def given(self) -> list[str]:
        """Return the names of the settings that the user gives."""
        return [each.name for each in fields(self) if getattr(self, each.name) is not None]


NO_OVERRIDES = Overrides()


@dataclass(frozen=True)
class Found:
    """A setting that an importer found."""

    value: Any
    origin: str
    """The file or the fact from which the setting follows, for instance `config.json`."""
    text: str | None = None
    """The value in the words of a person. If it is None, a setting that has an option is printed as it is."""


def found_labels(labels: tuple[str, ...], origin: str) -> Found:
    """Return labels as a setting that an importer found."""
    shown = ", ".join(labels[:SHOWN_LABELS]) + (", ..." if len(labels) > SHOWN_LABELS else "")
    return Found(labels, origin, f"{len(labels)} ({shown:.{SHOWN_CHARACTERS}})")


@dataclass(frozen=True)
class Findings:
    """The kind of a model, and the settings that an importer found."""

    what: str
    """The kind of model in a few words, for instance `a folder of sentence-transformers`."""
    settings: Mapping[str, Found] = field(default_factory=dict)
    """The settings by name: fields of `Overrides`, and fields of the task's declaration."""
    advice: Mapping[str, str] = field(default_factory=dict)
    """The way to get a setting that the importer looked for and did not find, by the setting's name."""


class Settings:
    """The settings of one model: the user's where given, else the importer's."""

    def __init__(self, findings: Findings, overrides: Overrides) -> None:
        self._findings = findings
        self._overrides = overrides
        self._unused = dict.fromkeys(overrides.given())
        self._lines: dict[str, str] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each chosen setting that means something to a person, with its origin and its option."""
        return tuple(self._lines.values())

    def choose(self, name: str, default: Any = None) -> Any:
        """Return the user's value of a setting, else the importer's, else the default."""
        self._unused.pop(name, None)
        given = getattr(self._overrides, name, None)
        if given is not None:
            return given
        found = self._findings.settings.get(name)
        if found is None:
            return default
        has_option = hasattr(self._overrides, name)
        if has_option or found.text is not None:
            ways = f"{found.origin}; {option_of(name)}" if has_option else found.origin
            self._lines[name] = f"{_words(name)}: {_text(found)} ({ways})"
        return found.value

    def require(self, name: str, purpose: str) -> Any:
        """Return a setting that is needed.

        Raises:
            UsageError: Neither the user nor the importer has it.
        """
        value = self.choose(name)
        if value is None:
            raise UsageError(f"{option_of(name)}: {purpose}, {self._findings.advice.get(name, 'got no such option')}")
        return value

    def report(self, name: str, found: Found) -> None:
        """Add the line of a setting that the task's own module found out about the model."""
        self._lines[name] = f"{_words(name)}: {_text(found)} ({found.origin})"

    def require_all_used(self, purpose: str) -> None:
        """Refuse an option that nothing of this model uses.

        Raises:
            UsageError: The user gave such an option.
        """
        for name in self._unused:
            raise UsageError(f"{option_of(name)}: expected an option that {purpose} uses, got this one")


def option_of(name: str) -> str:
    """Return the option that overrides a setting."""
    return "--normalize/--no-normalize" if name == "normalize" else f"--{name.replace('_', '-')}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(found: Found) -> str:
    return str(found.value) if found.text is None else found.text


def parsed(value: Path | Declaration | None, parse: Callable[[Document], Declaration]) -> Declaration | None:
    """Return a declaration: the one in the user's file, or an importer's own, made of numbers in the model's files.

    Raises:
        UsageError: The file cannot be read.
        ManifestError: The content of the declaration breaks the contract.
    """
    if value is None:
        return None
    if isinstance(value, Path):
        return parse(Document.parse(read_bytes(value), str(value)))
    return parse(Document(value.to_document(), "the settings in the model's files"))
