"""SnapStart: what must not be frozen into a snapshot of this process, and what is made anew where one is restored.

Source: AWS Lambda developer guide, "Implement code before or after Lambda function snapshots".
"""

import gc

from onnxlet.web.app import App


def register(app: App) -> None:
    """Have Lambda's runtime call us around a snapshot; nothing happens where none is taken."""
    if not app.settings.is_snapshotted:
        return
    from snapshot_restore_py import register_after_restore, register_before_snapshot  # of Lambda's own runtime

    register_before_snapshot(before_snapshot)
    register_after_restore(after_restore, app)


def before_snapshot() -> None:
    """Leave nothing in memory that would be saved, and restored, for nothing."""
    gc.collect()


def after_restore(app: App) -> None:
    """Go on as a new process: with other connections, other credentials and the aliases as they are now."""
    app.service.reopen()
