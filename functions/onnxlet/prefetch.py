"""The prefetch: the default model is on its way from the store while the process still imports what will run it."""

from onnxlet import session
from onnxlet.config import Settings
from onnxlet.errors import OnnxletError
from onnxlet.registry import Registry


def begin(settings: Settings) -> Registry | None:
    """Open the registry and begin to fetch the default model.

    Returns:
        The registry; None where nothing was begun: without a default model, in a process whose threads end when a
        server forks its workers from it, and where the registry cannot be opened, which its next user will say.
    """
    if settings.model is None or settings.is_preforked:
        return None
    try:
        registry = Registry.open(settings)
        registry.expect(settings.model, lambda manifest: manifest.best(settings.variant, session.runtime()))
    except OnnxletError:
        return None
    return registry
