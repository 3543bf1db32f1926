"""What a package is for: a cloud, a processor and a Python."""

import platform
import re
import sys
from dataclasses import dataclass

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.package import elf

CLOUDS = ("aws", "gcp")

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Processors as both clouds' tools name them, with the name in wheels' tags."""

ELF_MACHINES = {"arm64": elf.AARCH64, "x86_64": elf.X86_64}

DEFAULT_ARCHITECTURES = {"aws": "arm64", "gcp": "x86_64"}
"""On Lambda arm64 costs a fifth less; Cloud Run has no other than x86_64."""

DEFAULT_PYTHON = "3.13"

GLIBC_MINOR = 34
"""glibc 2.34 is that of Amazon Linux 2023, which Lambda's Pythons from 3.12 on run on; Cloud Run's is newer."""
OLDEST_GLIBC_MINOR = 17
"""What manylinux2014 means; installers know the older tags from there on by themselves."""

OLDEST_LAMBDA_PYTHON = 12
"""3.11 and older run on Amazon Linux 2: glibc 2.26, older than what ONNX Runtime's wheels need."""


@dataclass(frozen=True)
class Target:
    """Where a package will run."""

    cloud: str
    """`aws` or `gcp`."""
    arch: str
    """`arm64` or `x86_64`."""
    python: str
    """The minor version: `3.13`."""

    @property
    def is_complete(self) -> bool:
        """Whether the package holds the libraries too: GCP's buildpack installs and compiles them itself."""
        return self.cloud == "aws"

    @property
    def elf_machine(self) -> int:
        """What the header of each library must name."""
        return ELF_MACHINES[self.arch]

    @property
    def platform_tags(self) -> list[str]:
        """The tags of wheels that run there, the newest first.

        Each one between is named, because an installer takes them literally: obstore's is manylinux_2_24.
        """
        machine = MACHINES[self.arch]
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, OLDEST_GLIBC_MINOR - 1, -1)]
        return [*tags, f"manylinux2014_{machine}"]

    @property
    def uv_platform(self) -> str:
        """The same for uv, which knows the older ones by itself."""
        return f"{MACHINES[self.arch]}-manylinux_2_{GLIBC_MINOR}"

    @property
    def file_name(self) -> str:
        """The zip's. GCP's holds neither libraries nor bytecode, and is the same for each Python."""
        return "onnxlet-gcp.zip" if self.cloud == "gcp" else f"onnxlet-aws-{self.arch}-python{self.python}.zip"

    def other_machine(self) -> str | None:
        """Why nothing of this target can run on this machine; None where it can."""
        if sys.platform != "linux":
            return f"this machine runs {platform.system()}, and the package is for Linux"
        if platform.machine() != MACHINES[self.arch]:
            return f"this machine is {platform.machine()}, and the package is for {MACHINES[self.arch]}"
        return None


def parse_target(cloud: str, arch: str | None, python: str) -> Target:
    """The target that the options name; no architecture takes the cloud's default.

    Raises:
        InvalidRequestError: one is unknown, or they do not go together.
    """
    if cloud not in CLOUDS:
        raise InvalidRequestError(f"--cloud {cloud}: expected {' or '.join(CLOUDS)}")
    arch = arch or DEFAULT_ARCHITECTURES[cloud]
    if arch not in MACHINES:
        raise InvalidRequestError(f"--arch {arch}: expected {' or '.join(MACHINES)}")
    if cloud == "gcp" and arch != DEFAULT_ARCHITECTURES["gcp"]:
        raise InvalidRequestError(f"--arch {arch}: GCP's functions run on {DEFAULT_ARCHITECTURES['gcp']} only")
    if not re.fullmatch(r"3\.(1[1-9]|[2-9]\d)", python):
        raise InvalidRequestError(f"--python {python}: expected a minor version from 3.11 on, like {DEFAULT_PYTHON}")
    return Target(cloud, arch, python)


def warnings(target: Target) -> list[str]:
    """What does not stop a package, and should be known."""
    if target.cloud == "aws" and int(target.python.partition(".")[2]) < OLDEST_LAMBDA_PYTHON:
        return [f"Lambda's python{target.python} has an older C library than the wheels need: deploy on 3.12 or newer"]
    return []
