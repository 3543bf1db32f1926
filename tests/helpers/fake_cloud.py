# ruff: noqa: ARG002 - the methods are those of `Cloud`
"""A cloud in memory: it remembers what was asked of it, and its functions answer in this process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from onnxlet.clouds import aws_http
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy.cloud import Change, Deployed, NotCalled, Outputs, Release, Retained
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.http_client import Response
from onnxlet_cli.local.function_url import from_result, to_event
from onnxlet_cli.package.build import Package
from onnxlet_cli.package.target import Target


@dataclass
class FakeCloud:
    """Each step that is named in `fails` fails once with its error."""

    folder: Path
    variant: str | None = None
    has_callers: bool = True
    steps: list[str] = field(default_factory=list)
    applied: list[Release] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)

    def check(self) -> str:
        self._step("check")
        return "a cloud in memory"

    def check_account(self) -> str:
        return self.check()

    def find(self) -> Deployed | None:
        return self._deployed() if self.applied else None

    def target(self) -> Target:
        return Target("aws", "x86_64", "3.11")

    def memory_mib(self) -> int:
        return 512

    def extras(self) -> Extras:
        return Extras(has_snapshots=True)

    def plan(self, release: Release, report: Report) -> list[Change]:
        self._step("plan")
        return [] if self.applied[-1:] == [release] else [Change("modify", "HttpFunction", "AWS::Lambda::Function")]

    def apply(self, release: Release, report: Report) -> Deployed:
        self._step("apply")
        (self.folder / "registry").mkdir(exist_ok=True)
        self.applied.append(release)
        return self._deployed()

    def open_registry(self, url: str) -> Registry:
        self._step("registry")
        return Registry(open_store(url))

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response | NotCalled:
        self._step("send")
        if not self.has_callers:
            return NotCalled("this machine is a stranger")
        app = App.start(Service(Settings(outputs.registry_url, model=self.applied[-1].model)))
        message = Message()
        for name, value in headers.items():
            message[name] = value
        event = to_event("GET" if body is None else "POST", path, "", message, body or b"")
        status, found, content = from_result(aws_http.from_response(app.handle(event, aws_http.to_request), event))
        return Response(status, {name.lower(): value for name, value in dict(found).items()}, content)

    def diagnostics(self, outputs: Outputs) -> list[str]:
        return []

    def remove_objects(self, url: str) -> None:
        raise AssertionError(url)

    def tidy(self, report: Report) -> None:
        self._step("tidy")

    def retained(self) -> list[Retained]:
        return [Retained("bucket", "registry", "rm -r registry")]

    def remove(self, report: Report) -> list[Retained]:
        self._step("remove")
        return self.retained()

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        return [("Call it", [f"curl {outputs.http_url}/v2/models/{model}"])]

    def document(self) -> dict[str, Any]:
        return {"cloud": "fake"}

    def _deployed(self) -> Deployed:
        url = (self.folder / "registry").as_uri()
        return Deployed(Outputs("http://function", url, "s3://in", "s3://out"), self.applied[-1].model, self.variant)

    def _step(self, name: str) -> None:
        self.steps.append(name)
        error = self.fails.pop(name, None)
        if error is not None:
            raise error


def built(folder: Path) -> Any:
    """What stands for `onnxlet_cli.package.build.build`."""
    path = folder / "package.zip"
    return lambda _target, _extras, _report: Package(path, path, "0" * 64, 0, (), {}, None, None, ())
