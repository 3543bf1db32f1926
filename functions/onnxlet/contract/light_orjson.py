"""An import of orjson without two modules that it only compares types with.

While it is imported, orjson reads `uuid.UUID` and `dataclasses._FIELD`, to recognize such objects when it writes JSON.
Functions write neither, and the two modules bring `inspect`, `ast` and `platform`: 10 ms of a cold start. During
the import stand-ins take their place; `main` imports this module before any other that imports orjson.
"""

import sys
from types import ModuleType


def import_orjson() -> None:
    """Import orjson with stand-ins for `uuid` and `dataclasses`, unless these or orjson are imported already."""
    if "orjson" in sys.modules:
        return
    stand_ins = [_stand_in(name, attribute) for name, attribute in (("uuid", "UUID"), ("dataclasses", "_FIELD"))]
    absent = {module.__name__: module for module in stand_ins if module.__name__ not in sys.modules}
    sys.modules |= absent
    try:
        import orjson  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]


def _stand_in(name: str, attribute: str) -> ModuleType:
    module = ModuleType(name)
    setattr(module, attribute, type(attribute, (), {}))
    return module
