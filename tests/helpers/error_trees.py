"""The drawn tree in the docstring of a module of errors, and the real one."""

import re
from types import ModuleType


def drawn_parents(module: ModuleType) -> dict[str, str]:
    """Return the name of each drawn error with its parent's."""
    lines = (module.__doc__ or "").splitlines()
    (root,) = (line for line in lines if re.fullmatch(r"\w+Error", line))
    parents, branch = {}, {0: root}
    for line in lines:
        if found := re.match(r"([│ ]*)[├└]── (\w+)", line):
            depth = len(found[1]) // 4 + 1
            branch[depth] = found[2]
            parents[found[2]] = branch[depth - 1]
    return parents


def real_parents(module: ModuleType, root: type[Exception]) -> dict[str, str]:
    """Return the name of each error that the module defines below the root, with its parent's."""
    classes = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, root)]
    own = [item for item in classes if item.__module__ == module.__name__ and item is not root]
    return {item.__name__: item.__bases__[0].__name__ for item in own}
