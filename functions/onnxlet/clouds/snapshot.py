"""SnapStart: what this process does before Lambda takes a snapshot of it, and after Lambda restores one.

Source: AWS Lambda developer guide, "Implement code before or after Lambda function snapshots".
"""

import gc
from collections.abc import Callable


def register(reopen: Callable[[], object]) -> None:
    """Register this process's hooks with Lambda's runtime.

    Args:
        reopen: Called after a restore: it connects again and reads the aliases again.
    """
    from snapshot_restore_py import register_after_restore, register_before_snapshot  # only Lambda's runtime has it

    register_before_snapshot(before_snapshot)
    register_after_restore(reopen)


def before_snapshot() -> None:
    """Free unused objects, so that the snapshot does not contain them."""
    gc.collect()
