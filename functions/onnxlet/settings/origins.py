"""Origins of web pages, as the setting `ONNXLET_CORS_ORIGINS` lists them.

Source: WHATWG, "URL Standard" (host serializing, default ports).
"""

import re

from onnxlet.errors import SettingsError

ANY = "*"
"""The setting that stands for the pages of every origin."""

MAX_PORT = 65_535

DEFAULT_PORTS = {"http": "80", "https": "443"}
"""The ports that a browser leaves out of an origin."""

OPAQUE_SCHEMES = frozenset({"about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"})
"""The schemes that no page's origin has: a browser sends such a page's origin as `null`, if it sends one."""

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:]+\]|[a-z0-9_.-]+)(?::(?P<port>[1-9][0-9]*))?", re.ASCII
)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


def parse_origins(text: str) -> tuple[str, ...]:
    """Return the origins in a text, which are separated by spaces or commas.

    Raises:
        SettingsError: an origin has a spelling that browsers do not use, so it would never match.
    """
    origins = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if ANY in origins and len(origins) > 1:
        raise SettingsError(f"{ANY} next to other origins: expected only {ANY}, for every page, or a list of origins")
    for origin in origins:
        problem = None if origin == ANY else _problem(origin)
        if problem is not None:
            raise SettingsError(f"{origin!r:.200}: expected an origin such as https://app.example.com, got {problem}")
    return origins


def _problem(origin: str) -> str | None:
    """Return why browsers do not send an origin in this spelling; None if they do."""
    if origin == "null":
        return "null, which every sandboxed page and local file has"
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return _misspelling(origin)
    scheme, host, port = match["scheme"], match["host"], match["port"]
    if scheme in OPAQUE_SCHEMES:
        return f"{scheme}:, which no page's origin has"
    if port is not None and int(port[:6]) > MAX_PORT:
        return f"the port {port:.10}, which does not exist"
    if port is not None and DEFAULT_PORTS.get(scheme) == port:
        return f"the port {port}, which browsers leave out"
    return None if _is_host(host) else f"the host {host:.80}, which browsers write differently"


def _misspelling(origin: str) -> str:
    """Return what is wrong with a text that does not have the form of an origin."""
    if "://" not in origin:
        return "no scheme"
    if ANY in origin:
        return f"a pattern: name each origin, or only {ANY} for all"
    if not origin.isascii():
        return "letters that browsers send in their ASCII form (xn--...)"
    if origin != origin.lower():
        return "capital letters, which browsers convert to lower case"
    if "/" in origin.partition("://")[2]:
        return "a path: an origin ends after its host and port, without a slash"
    return "another spelling"


def _is_host(host: str) -> bool:
    """Return whether a host has the spelling that browsers use in an origin."""
    labels = host.split(".")
    if host.startswith("[") or _NUMBER.fullmatch(labels[-1]):  # a browser reads the whole host as an address
        import ipaddress  # few origins are addresses

        try:
            address = f"[{ipaddress.IPv6Address(host[1:-1])}]" if host[0] == "[" else str(ipaddress.IPv4Address(host))
        except ValueError:
            return False
        return address == host
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels))
