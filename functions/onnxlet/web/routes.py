"""The routes: which endpoint answers which method and path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from onnxlet.errors import MethodNotAllowedError, NotFoundError
from onnxlet.http import Response
from onnxlet.limits import MAX_PATH_CHARACTERS
from onnxlet.record import Record

MAX_CACHED_PATHS = 1024
"""The number of paths that a router remembers. Clients may send any number of different ones."""

Endpoint = Callable[..., Response]
"""Answers an exchange; the names in a route's pattern are its further arguments."""


class Route(Record):
    """A method, a path and the endpoint that answers them."""

    method: str
    pattern: str
    """The path; a part in braces has any value, as in `/v1/models/{model}:predict`."""
    endpoint: Endpoint


class Router:
    """Finds the route of a request. It remembers paths: most requests have one of a few."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)  # if several match a path, the first one answers
        self.find = lru_cache(MAX_CACHED_PATHS)(self._find)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route of a request, and the arguments in its path.

        Raises:
            NotFoundError: no route has this path.
            MethodNotAllowedError: the routes with this path have other methods.
        """
        matches = self._match_all(path)
        for route, arguments in matches:
            if route.method == ("GET" if method == "HEAD" else method):
                return route, arguments
        allowed = _methods(route for route, _ in matches)
        if method == "OPTIONS":
            return Route(method, matches[0][0].pattern, partial(_options, ", ".join((*allowed, method)))), {}
        raise MethodNotAllowedError(f"{path:.200}: expected {' or '.join(allowed)}, got {method:.20}", allowed)

    def _match_all(self, path: str) -> list[tuple[Route, dict[str, str]]]:
        """Return the routes with this path, whatever their method, each with its arguments.

        Raises:
            NotFoundError: no route has this path.
        """
        if len(path) > MAX_PATH_CHARACTERS:
            raise NotFoundError(f"expected a path of at most {MAX_PATH_CHARACTERS} characters, got {len(path)}")
        candidates = ((route, _match(route.pattern, path)) for route in self._routes)
        matches = [(route, arguments) for route, arguments in candidates if arguments is not None]
        if not matches:
            raise NotFoundError(f"{path:.200}: there is no such route; GET /openapi.json describes all routes")
        return matches


def _options(allow: str, _exchange: object) -> Response:
    """Answer OPTIONS with the methods of a path. Source: RFC 9110, section 9.3.7."""
    return Response(204, b"", headers={"allow": allow})


def _methods(routes: Iterable[Route]) -> list[str]:
    """Return the methods of routes without duplicates. HEAD belongs to GET."""
    methods = [method for route in routes for method in (("GET", "HEAD") if route.method == "GET" else (route.method,))]
    return list(dict.fromkeys(methods))


def _match(pattern: str, path: str) -> dict[str, str] | None:
    """Return the arguments of a path that has this pattern; None for any other path."""
    parts = path.rstrip("/").split("/")
    pattern_parts = pattern.rstrip("/").split("/")
    if len(parts) != len(pattern_parts):
        return None
    arguments = {}
    for part, pattern_part in zip(parts, pattern_parts, strict=True):
        if not pattern_part.startswith("{"):
            if part != pattern_part:
                return None
            continue
        name, _, verb = pattern_part[1:].partition("}")
        if not part.endswith(verb) or len(part) == len(verb):
            return None
        arguments[name] = part[: len(part) - len(verb)]
    return arguments
