"""A server that remembers each request, and answers all of them with 200."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cli.local.http import Handler, serving


@dataclass
class Recorder:
    """What came: method, path, headers by lower-case names, and body."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Serve on a free port of this machine."""
    recorder = Recorder()

    class Recording(Handler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorder.requests.append((self.command, self.path, headers, body))
            self.reply(200, b"{}", {})

        do_POST = do_GET

    with serving(Recording) as recorder.url:
        yield recorder
