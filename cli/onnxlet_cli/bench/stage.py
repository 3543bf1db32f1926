"""The stage of the benchmark: an S3 with the models, and the commands that start what is measured."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from onnxlet import session
from onnxlet.contract import expectation
from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.registry.registry import Registry
from onnxlet.settings.parsers import MEMORY_PER_CPU_MIB
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.bench.deployment import BASELINES, PYTHON, SITE_PACKAGES, Deployment, open_deployment
from onnxlet_cli.bench.fresh_process import Command
from onnxlet_cli.bench.models import BenchModel
from onnxlet_cli.bench.payloads import LABELS, PHOTO_SIDE
from onnxlet_cli.bench.storage import BUCKET, storage
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.bench.worker import Worker, python_path

REGISTRY = f"s3://{BUCKET}/registry"
MEMORY_MIB = MEMORY_PER_CPU_MIB * (os.cpu_count() or 1)
"""Memory of the Lambda function: it then has as many vCPUs as this machine, which the baselines use by default."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet, as in the typical handler."""

PHOTO_TO_LABEL: dict[str, Any] = {
    "preprocess": ImagePreprocess(PHOTO_SIDE, PHOTO_SIDE, 3, "NCHW", mean=MEAN, std=STD),
    "classification": Classification(LABELS, "softmax"),
}
"""The declarations of a model that answers as the typical handler of photos does."""


@dataclass(frozen=True)
class Stage:
    """An S3 with models, a deployment of onnxlet, and a folder that the baselines write to."""

    endpoint: str
    deployment: Deployment
    scratch: Path

    def open(self, url: str) -> Store:
        """Open a root URL in the S3."""
        return open_store(url, StorageSettings(s3_endpoint=self.endpoint), credential_provider=_credentials)

    def upload(self, key: str, data: bytes) -> None:
        """Put an object into the bucket."""
        self.open(f"s3://{BUCKET}").put_if_absent(key, data)

    def publish(self, name: str, model: BenchModel, **declared: Any) -> str:
        """Publish a model with further fields of its `Candidate`, if given; return its ONNXLET_PREFETCH."""
        from onnxlet_publishing.candidate import Candidate
        from onnxlet_publishing.onnx_file import read_onnx  # onnx takes longer than most commands
        from onnxlet_publishing.publish import publish

        candidate = Candidate(name, read_onnx(model.path), "onnxlet bench", **declared)
        manifest = publish(Registry(self.open(REGISTRY)), candidate)
        return expectation.to_text(manifest, None, session.runtime().version)

    def write_labels(self) -> Path:
        """Write the file of labels that the typical handler of photos reads."""
        path = self.scratch / "labels.txt"
        path.write_text("\n".join(LABELS))
        return path

    def environment(self, handler: str, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment that Lambda gives to a function with this handler."""
        return {
            **_inherited(),
            **CREDENTIALS,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MIB),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "_HANDLER": handler,
            **variables,
        }

    def function(self, entry: str, model: str, prefetch: str = "") -> Command:
        """Return the command of the function with an entry point of `main.py` and a default model."""
        variables = {
            "ONNXLET_REGISTRY": REGISTRY,
            "ONNXLET_MODEL": model,
            "ONNXLET_PREFETCH": prefetch,
            "LAMBDA_TASK_ROOT": str(self.deployment.folder),
            "PYTHONPATH": str(self.deployment.python_path),
        }
        return self._lambda(f"main.{entry}", self.deployment.folder, variables)

    def baseline(self, module: str, key: str, variables: Mapping[str, str] | None = None) -> Command:
        """Return the command of a handler in `baselines/`, whose model is the object `key`."""
        own_variables = {
            "MODEL_BUCKET": BUCKET,
            "MODEL_KEY": key,
            "MODEL_PATH": str(self.scratch / f"{module}{Path(key).suffix}"),
            "PYTHONPATH": str(SITE_PACKAGES),
            "LAMBDA_TASK_ROOT": str(BASELINES),
            **(variables or {}),
        }
        return self._lambda(f"{module}.handler", BASELINES, own_variables)

    def limit(self, model: BenchModel) -> Command:
        """Return the command of a bare session on the local file."""
        inputs = [f"{name}={path}" for name, path in model.inputs.items()]
        environment = {**_inherited(), "PYTHONPATH": str(SITE_PACKAGES)}
        return Command((*PYTHON, "limit.py", str(model.path), *inputs), BASELINES, environment)

    def worker(self, model: BenchModel, memory_mib: int, variables: Mapping[str, str] | None = None) -> Worker:
        """Start a worker that can run the function and the baselines, in a Lambda environment with this much memory."""
        own_variables = {
            "ONNXLET_REGISTRY": REGISTRY,
            "ONNXLET_MODEL": model.name,
            "AWS_LAMBDA_RUNTIME_API": "bench",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
            "MODEL_BUCKET": BUCKET,
            "MODEL_KEY": f"models/{model.name}.onnx",
            "MODEL_PATH": str(self.scratch / "worker.onnx"),
            **python_path([self.deployment.folder, BASELINES, SITE_PACKAGES]),
            **(variables or {}),
        }
        return Worker(model.name, model.path.parent, self.environment("", own_variables))

    def _lambda(self, handler: str, folder: Path, variables: Mapping[str, str]) -> Command:
        return Command((*PYTHON, "-m", "awslambdaric", handler), folder, self.environment(handler, variables))


@contextmanager
def open_stage(throttle: Throttle, package: Path | None = None) -> Iterator[Stage]:
    """Start an empty S3, and unpack a package if one is given.

    Raises:
        MachineError: moto is not installed.
        UsageError: The file or folder is not a package.
    """
    scratch = Path(tempfile.mkdtemp(prefix="onnxlet-bench-"))
    try:
        with storage(throttle) as endpoint:
            yield Stage(endpoint, open_deployment(package, scratch), scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _inherited() -> dict[str, str]:
    return {"LANG": "C.UTF-8", **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}}


def _credentials() -> Any:
    """Return credentials for moto, which accepts any; those of the machine are never used."""
    expires = datetime.now(UTC) + timedelta(days=1)
    key, secret = CREDENTIALS.values()
    return {"access_key_id": key, "secret_access_key": secret, "token": None, "expires_at": expires}
