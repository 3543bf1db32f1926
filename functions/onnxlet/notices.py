"""Notices: texts for the operator, through `logging`, which is imported when the first one is written.

`logging` and what it imports take 3 ms of a cold start, unless the platform's runtime has imported them before.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def error(text: str, *values: object) -> None:
    """Log that something failed. The values fill the text's `%s`."""
    _logger().error(text, *values, stacklevel=2)


def warning(text: str, *values: object) -> None:
    """Log what an operator should know although the function does its work."""
    _logger().warning(text, *values, stacklevel=2)


def info(text: str, *values: object) -> None:
    """Log what only operators want to know who have configured `logging`, and so have imported it, to write it."""
    if "logging" in sys.modules:
        _logger().info(text, *values, stacklevel=2)


def _logger() -> Logger:
    import logging

    return logging.getLogger("onnxlet")
