"""The routes: which method and path lead to which endpoint."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

from onnxlet.errors import MethodNotAllowedError, NotFoundError
from onnxlet.http import Response
from onnxlet.limits import MAX_PATH_CHARACTERS

MAX_REMEMBERED = 1024
"""Paths, of the clients' making."""

Endpoint = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path, and who answers; what the two documents are is for the description."""

    method: str
    pattern: str
    endpoint: Endpoint
    takes: str = ""
    """The schema of the request, in `openapi`."""
    gives: str = "Object"
    """The schema of the response, in `openapi`."""


class Router:
    """Finds the route of a request. It remembers the paths that lead somewhere: most requests name one of a few."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Take the routes, of which the first that has a path answers for it."""
        self._routes = tuple(routes)
        self.find = lru_cache(MAX_REMEMBERED)(self._find)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route for a request, and what its path says.

        Raises:
            NotFoundError: no route has this path.
            MethodNotAllowedError: one has, for another method.
        """
        found = self._matches(path)
        for route, arguments in found:
            if route.method == ("GET" if method == "HEAD" else method):
                return route, arguments
        allowed = _methods(route for route, _ in found)
        if method == "OPTIONS":
            return Route(method, found[0][0].pattern, partial(_options, ", ".join((*allowed, method)))), {}
        raise MethodNotAllowedError(f"{path:.200}: expected {' or '.join(allowed)}, got {method:.20}", allowed)

    def _matches(self, path: str) -> list[tuple[Route, dict[str, str]]]:
        """The routes that have this path, whatever their method, and what it says in each; never empty."""
        if len(path) > MAX_PATH_CHARACTERS:
            raise NotFoundError(f"expected a path of at most {MAX_PATH_CHARACTERS} characters, got {len(path)}")
        matches = ((route, _match(route.pattern, path)) for route in self._routes)
        found = [(route, arguments) for route, arguments in matches if arguments is not None]
        if not found:
            raise NotFoundError(f"{path:.200}: nothing answers here")
        return found


def _options(allow: str, _exchange: object) -> Response:
    """The methods that a path is answered for. Source: RFC 9110, section 9.3.7."""
    return Response(204, b"", headers={"allow": allow})


def _methods(routes: Iterable[Route]) -> list[str]:
    """The methods of routes, each once; what is answered to GET is to HEAD, too."""
    methods = [method for route in routes for method in (("GET", "HEAD") if route.method == "GET" else (route.method,))]
    return list(dict.fromkeys(methods))


def _match(pattern: str, path: str) -> dict[str, str] | None:
    """What the names in braces stand for where a path has this pattern, else None."""
    parts = path.rstrip("/").split("/")
    pattern_parts = pattern.rstrip("/").split("/")
    if len(parts) != len(pattern_parts):
        return None
    arguments = {}
    for part, expected in zip(parts, pattern_parts, strict=True):
        if not expected.startswith("{"):
            if part != expected:
                return None
            continue
        name, _, verb = expected[1:].partition("}")
        if not part.endswith(verb) or len(part) == len(verb):
            return None
        arguments[name] = part[: len(part) - len(verb)]
    return arguments
