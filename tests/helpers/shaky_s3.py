"""An S3 that follows a script of faults: lost requests and replies, errors and stalls."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler, serving


class ShakyS3(Handler):
    """An S3 whose next answers follow a script; after that it answers as it should."""

    script: list[str]
    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        fault = self.next_fault()
        if fault.isdigit():
            self.fail(int(fault))
        elif fault == "lost request":
            self.close_connection = True
        elif self.headers.get("if-match", etag_of(self.objects.get(self.path))) != etag_of(
            self.objects.get(self.path)
        ) or (self.headers.get("if-none-match") and self.path in self.objects):
            self.fail(412)
        else:
            self.objects[self.path] = data
            if fault == "lost reply":
                self.close_connection = True
            else:
                self.reply(200, b"", {"etag": etag_of(data)})

    def do_GET(self) -> None:
        fault, data = self.next_fault(), self.objects.get(self.path)
        if fault.isdigit() or data is None:
            self.fail(int(fault or 404))
        elif fault == "lost reply":
            self.close_connection = True
        else:
            sent = data[: len(data) // 2] if fault == "half a reply" else data
            self.send_response(200)
            for name, value in {"etag": etag_of(data), "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.send_header("last-modified", "Mon, 12 Jan 2026 10:20:30 GMT")
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = fault != ""

    def next_fault(self) -> str:
        return self.script.pop(0) if self.script else ""

    def fail(self, status: int) -> None:
        body = f"<Error><Code>Code{status}</Code><Message>a\nb</Message></Error>".encode()
        self.reply(status, body, {"content-type": "application/xml"})


def etag_of(data: bytes | None) -> str:
    return f'"{hashlib.md5(data or b"").hexdigest()}"'


@contextmanager
def shaky_store(*script: str, **objects: bytes) -> Iterator[Store]:
    content = {f"/bucket/root/{key}": data for key, data in objects.items()}
    handler = type("BoundShakyS3", (ShakyS3,), {"script": list(script), "objects": content})
    with serving(handler) as url:
        yield open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))


@contextmanager
def refusing(status: int, code: str, message: str) -> Iterator[Store]:
    class Refusing(Handler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
            self.reply(status, body.encode(), {"content-type": "application/xml"})

        do_PUT = do_GET

    with serving(Refusing) as url:
        yield open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))
