"""A guard before a real S3: each request must be one that a role's statements allow, as IAM would ask them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

from onnxlet_cli.local.http import serving
from tests.crashes.front import Front, FrontHandler

Asks = Callable[[str, str, Mapping[str, str]], bool]
"""Whether an action on a resource, both without `arn:aws:s3:::`, is allowed in a context."""

ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject"}
CONDITIONS = {"if-match": "s3:if-match", "if-none-match": "s3:if-none-match"}
"""The headers that IAM knows as keys of a condition.

Source: Amazon S3 user guide, "Enforce conditional writes on Amazon S3 buckets"."""


class GuardHandler(FrontHandler):
    """One connection to the guard."""

    asks: Asks

    def guard(self) -> None:
        address = urlsplit(self.path)
        bucket, _, key = unquote(address.path).lstrip("/").partition("/")
        query = parse_qs(address.query)
        if key:
            context = {name: self.headers[header] for header, name in CONDITIONS.items() if header in self.headers}
            is_allowed = self.asks(ACTIONS.get(self.command, "s3:DeleteObject"), f"{bucket}/{key}", context)
        else:
            is_allowed = self.asks("s3:ListBucket", bucket, {"s3:prefix": query.get("prefix", [""])[0]})
        if is_allowed:
            self.relay()
            return
        self.rfile.read(self.length())
        body = b"<Error><Code>AccessDenied</Code><Message>not authorized</Message></Error>"
        self.reply(403, body, {"content-type": "application/xml"})

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = guard


@contextmanager
def guarding(upstream: str, asks: Asks) -> Iterator[str]:
    """Serve a guard before the S3 at `upstream`; gives its URL."""
    members = {"front": Front(upstream), "asks": staticmethod(asks)}
    with serving(type("BoundGuardHandler", (GuardHandler,), members)) as url:
        yield url
