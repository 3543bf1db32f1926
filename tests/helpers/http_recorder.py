"""A server that remembers each request, and answers all of them with 200 and, by its path, a document."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from onnxlet_cli.local.http import Handler, serving


@dataclass
class Recorder:
    """What came: method, path, headers by lower-case names, and body."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def recording(answers: Mapping[str, Any] | None = None) -> Iterator[Recorder]:
    """Serve on a free port of this machine; what has no answer gets an empty document."""
    recorder = Recorder()

    class Recording(Handler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorder.requests.append((self.command, self.path, headers, body))
            self.reply(200, json.dumps((answers or {}).get(self.path, {})).encode(), {})

        do_POST = do_GET

    with serving(Recording) as recorder.url:
        yield recorder
