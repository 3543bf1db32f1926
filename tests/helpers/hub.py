"""A hub on this machine, which answers the routes of Hugging Face's that downloads use."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = {"main", "v1", COMMIT}
GATED = "org/gated"


class Hub(ThreadingHTTPServer):
    """The repositories of a folder, by `ORG/NAME`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requested: list[str] = []
        """The paths of the files that were downloaded."""
        self.tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(folder: Path) -> Iterator[Hub]:
    with Hub(folder) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""

    def _answer(self) -> None:
        self.server.tokens.add(self.headers.get("authorization", ""))
        path = self.path.partition("?")[0].strip("/")
        if "/tree/" in path:
            self._tree(path.removeprefix("api/models/").partition("/tree/")[0])
        elif path.startswith("api/models/"):
            repository, _, revision = path.removeprefix("api/models/").partition("/revision/")
            self._model(repository, revision or "main")
        else:
            repository, _, rest = path.partition("/resolve/")
            self._file(repository, *rest.partition("/")[::2])

    def _model(self, repository: str, revision: str) -> None:
        folder = self.server.folder / repository
        if repository == GATED:
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif not folder.is_dir():
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in REVISIONS:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [{"rfilename": name} for name in self._files(repository)]
            self._send_json({"id": repository, "sha": COMMIT, "siblings": siblings})

    def _tree(self, repository: str) -> None:
        """Answer the listing that newer versions of `huggingface_hub` ask for."""
        files = self._files(repository).items()
        self._send_json([{"type": "file", "path": name, "size": size, "oid": "0"} for name, size in files])

    def _files(self, repository: str) -> dict[str, int]:
        folder = self.server.folder / repository
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.stat().st_size for path in files}

    def _file(self, repository: str, revision: str, name: str) -> None:
        data = (self.server.folder / repository / name).read_bytes()
        if self.command == "GET":
            self.server.requested.append(name)
        assert revision == COMMIT, "files are those of a commit"
        self._send(200, data, {"etag": f'"{hashlib.sha1(data).hexdigest()}"', "x-repo-commit": COMMIT})

    def _send_json(self, document: Any) -> None:
        self._send(200, json.dumps(document).encode(), {"content-type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
