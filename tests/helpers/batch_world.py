"""The state machine of batch runs in moto, with the real handlers behind a Lambda of its own."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from onnxlet.storage import Store
from tests.infra.template import ROOT

DEFINITION = ROOT / "infra/aws/batch.asl.json"


INVOKE = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations")


REGION = "us-east-1"


SUBSTITUTIONS = {
    "Partition": "aws",
    "MapFunction": "arn:aws:lambda:us-east-1:000000000000:function:map:live",
    "SummaryFunction": "arn:aws:lambda:us-east-1:000000000000:function:summary:live",
    "BatchItems": "50",
    "BatchConcurrency": "4",
    "ToleratedFailurePercentage": "1",
}


DEADLINE_S = 120

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@dataclass
class Lambda:
    """The two functions, called as Step Functions calls them; all else goes on to moto's server."""

    endpoint: str
    handlers: dict[str, Handler]
    outputs: list[dict[str, Any]] = field(default_factory=list)
    """Of the item batches that succeeded."""
    calls: int = 0
    """Of the function for item batches."""
    before_summary: Callable[[dict[str, Any]], None] = lambda _event: None

    def invoke(self, name: str, event: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Call a function; its answer, or its error as Lambda reports it."""
        function = name.split(":")[6]
        if function == "map":
            self.calls += 1
        else:
            self.before_summary(event)
        try:
            answer = self.handlers[function](event, None)
        except Exception as error:  # what Lambda does with any
            return {"errorType": type(error).__name__, "errorMessage": str(error)}, True
        if function == "map":
            self.outputs.append(answer)
        return answer, False

    @contextmanager
    def serving(self) -> Iterator[int]:
        """The port of a server that is Lambda and moto in one."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Front,), {"functions": self}))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
        server.server_close()


class Front(BaseHTTPRequestHandler):
    """One request of the interpreter."""

    protocol_version = "HTTP/1.1"
    functions: Lambda

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        match = INVOKE.fullmatch(unquote(urlsplit(self.path).path))
        if not match:
            self.forward(body)
            return
        answer, is_error = self.functions.invoke(match["name"], json.loads(body))
        self.reply(200, json.dumps(answer).encode(), {"x-amz-function-error": "Unhandled"} if is_error else {})

    do_GET = do_POST = do_PUT = answer

    def forward(self, body: bytes) -> None:
        connection = HTTPConnection(urlsplit(self.functions.endpoint).netloc)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        response = connection.getresponse()
        kept = {"content-type", "etag", "last-modified"}
        headers = {name: value for name, value in response.getheaders() if name.lower() in kept}
        self.reply(response.status, response.read(), headers)
        connection.close()

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class World:
    """An account with the two buckets, the functions and the state machine."""

    functions: Lambda
    client: Any
    inputs: Store
    results: Store

    def run(self, definition: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        """Run a definition to its end."""
        name = f"batch-{uuid.uuid4()}"
        machine = self.client.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn="arn:aws:iam::000000000000:role/batch"
        )
        started = self.client.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=f"run-{uuid.uuid4()}", input=json.dumps(asked)
        )
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found: dict[str, Any] = self.client.describe_execution(executionArn=started["executionArn"])
            if found["status"] != "RUNNING":
                return found
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.1)
