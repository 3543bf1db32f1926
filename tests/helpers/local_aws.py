"""An AWS on this machine, with a stack that the real SAM deployed."""

import json
import os
import platform
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions

from onnxlet.registry.registry import Registry
from onnxlet_cli.package.target import MACHINES
from onnxlet_cli.registry import open_registry
from tests.infra import ministack

STACK = "onnxlet-local"


PRODUCTION = "onnxlet-production"


ORIGINS = "https://app.example.com,http://localhost:3000"
"""Whose pages may read the answers."""


ARCH = next(name for name, machine in MACHINES.items() if machine == platform.machine())


PYTHON = "{}.{}".format(*sys.version_info)


HERE = ("--arch", ARCH, "--python", PYTHON)
"""What MiniStack can run: its Lambda functions are processes of this machine."""


PATIENCE_S = 60


@dataclass
class Aws:
    """MiniStack, and what is deployed there."""

    url: str
    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)
    package: dict[str, str] = field(default_factory=dict)

    def onnxlet(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command."""
        done = subprocess.run(
            [sys.executable, "-m", "onnxlet_cli.main", *arguments],
            cwd=ministack.ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL": self.url},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert "Traceback" not in done.stderr
        return done

    def deploy(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Deploy, and see what is deployed."""
        local = (self.folder / "local").as_uri()
        with self.mending():
            done = self.onnxlet("deploy", "--stack", STACK, "--registry", local, *HERE, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        self.package = document.get("package", {})
        places = document.get("outputs", {})
        self.outputs = {**places, **places.get("others", {})}
        return done

    @contextmanager
    def mending(self) -> Iterator[None]:
        """Mend the mappings while a deployment makes and changes them, which puts an object at its end."""
        is_over = threading.Event()

        def mend() -> None:
            while not is_over.wait(2):
                with suppress(botocore.exceptions.ClientError):  # it is being changed
                    self.mend_mappings()

        thread = threading.Thread(target=mend)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def mend_mappings(self) -> None:
        """Make the queue be read.

        MiniStack keeps a number that comes from a parameter as text, which CloudFormation does not, and its poller
        then fails to compare it ("'>=' not supported between instances of 'int' and 'str'").
        """
        client = self.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": 10})

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1")

    @property
    def host(self) -> str:
        """The Function URL's, which only MiniStack knows."""
        return urlsplit(self.outputs["http_url"]).netloc

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Ask the Function URL, unsigned."""
        request = urllib.request.Request(f"{self.url}{path}", headers={"Host": self.host})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")

    def registry(self) -> Registry:
        return open_registry(self.outputs["registry_url"])

    def put(self, name: str, data: bytes) -> str:
        """Put an object where it is answered; gives its URL."""
        url = f"{self.outputs['input_url']}/{name}"
        self.client("s3").put_object(Bucket=urlsplit(url).netloc, Key=urlsplit(url).path.lstrip("/"), Body=data)
        return url

    def results(self) -> dict[str, dict[str, Any]]:
        """The result documents, by their sources."""
        parts = urlsplit(self.outputs["results_url"])
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=parts.netloc, Prefix=parts.path.lstrip("/")).get("Contents", [])
        documents = [json.loads(s3.get_object(Bucket=parts.netloc, Key=item["Key"])["Body"].read()) for item in listed]
        return {document["source"]: document for document in documents}
