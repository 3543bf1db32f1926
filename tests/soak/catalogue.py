"""The catalogue: the models that are asked, some in several editions, of which each new version is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from onnxlet_publishing.gate import pass_gate
from tests.helpers import graphs

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxlet_publishing.candidate import Candidate
    from onnxlet_publishing.gate import GateResult

ROW = 512
"""Numbers that a row model takes."""
VALUES = 1024
"""Numbers that it gives: 2 MiB of weights lie between."""

DIGITS, CHAR, LARGE = "digits", "char", "large"
LARGE_ROW = 2048
LARGE_VALUES = 4096
"""32 MiB of weights."""


@dataclass(frozen=True)
class Size:
    """How much there is to ask for."""

    rows: int
    """How many row models."""
    changing_rows: int
    """How many of those get new versions."""
    editions: int
    has_large: bool
    memory_mib: int | None
    """What the function's loaded models may take: less than all of them. None for no bound."""


WHOLE = Size(rows=64, changing_rows=4, editions=3, has_large=True, memory_mib=256)
SHORT = Size(rows=8, changing_rows=2, editions=2, has_large=False, memory_mib=24)


@dataclass(frozen=True)
class Catalogue:
    """Every edition of every model, through the gate and ready to be published again and again."""

    editions: dict[str, list[GateResult]]
    """By the model's name."""

    @property
    def rows(self) -> list[str]:
        """The row models."""
        return [name for name in self.editions if name.startswith("row-")]

    @property
    def changing(self) -> list[str]:
        """The models that get new versions."""
        return [name for name, editions in self.editions.items() if len(editions) > 1]


def prepare(size: Size) -> Catalogue:
    """Make all editions and let them through the gate."""
    makers: dict[str, Callable[[int], Candidate]] = {
        DIGITS: graphs.digits_candidate,
        CHAR: lambda edition: graphs.char_candidate(name=CHAR, step=1 + edition),
        **{f"row-{number}": _row_maker(number) for number in range(size.rows)},
    }
    if size.has_large:
        makers[LARGE] = _large
    unchanging = {f"row-{number}" for number in range(size.changing_rows, size.rows)}
    return Catalogue(
        {
            name: [pass_gate(make(edition)) for edition in range(1 if name in unchanging else size.editions)]
            for name, make in makers.items()
        }
    )


class Ledger:
    """Which versions may answer, and which edition each is: written before a version can be seen. Safe for threads."""

    def __init__(self) -> None:
        self._editions: dict[tuple[str, int], int] = {}
        self._stored: dict[str, list[int]] = {}

    def allow(self, name: str, version: int, edition: int) -> None:
        """A version may answer, or will be published in this moment."""
        self._editions[name, version] = edition

    def stored(self, name: str, version: int) -> None:
        """A version that may answer is there: from now on it may be asked for by its number."""
        self._stored.setdefault(name, []).append(version)

    def edition(self, name: str, version: int) -> int | None:
        """None for a version that was never live, nor a canary."""
        return self._editions.get((name, version))

    def versions(self, name: str) -> list[int]:
        """Those that may be asked for by their number."""
        return self._stored[name]


def _row_maker(number: int) -> Callable[[int], Candidate]:
    """y = all numbers of x added up, times what only this edition of this model has."""

    def make(edition: int) -> Candidate:
        weights = np.full((ROW, VALUES), 1 + number + 100 * edition, np.float32)
        proto = graphs.model(
            [helper.make_node("MatMul", ["x", "weights"], ["y"])],
            [("x", TensorProto.FLOAT, ["batch", ROW])],
            [("y", TensorProto.FLOAT, ["batch", VALUES])],
            {"weights": weights},
        )
        return graphs.candidate(f"row-{number}", proto)

    return make


def _large(edition: int) -> Candidate:
    """One number for each row of x."""
    weights = np.full((LARGE_ROW, LARGE_VALUES), 1 + edition, np.float32)
    proto = graphs.model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"]), helper.make_node("ReduceSum", ["y", "axes"], ["total"])],
        [("x", TensorProto.FLOAT, ["batch", LARGE_ROW])],
        [("total", TensorProto.FLOAT, ["batch", 1])],
        {"weights": weights, "axes": np.array([1], np.int64)},
    )
    return graphs.candidate(LARGE, proto)
