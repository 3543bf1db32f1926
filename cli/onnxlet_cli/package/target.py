"""The target of a package: a cloud, a processor and a Python."""

import platform
import re
import sys
from dataclasses import dataclass

from onnxlet_cli.package import elf
from onnxlet_publishing.errors import UsageError

CLOUDS = ("aws", "gcp")

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""The processors' names in both clouds' tools, each with its name in the tags of wheels."""

ELF_MACHINES = {"arm64": elf.AARCH64, "x86_64": elf.X86_64}

DEFAULT_ARCHITECTURES = {"aws": "arm64", "gcp": "x86_64"}
"""Lambda's arm64 costs a fifth less than its x86_64; Cloud Run has only x86_64."""

DEFAULT_PYTHON = "3.13"

GLIBC_MINOR = 34
"""The glibc 2.34 of Amazon Linux 2023, on which Lambda runs Python 3.12 and newer; Cloud Run's is newer."""
OLDEST_GLIBC_MINOR = 17
"""The glibc of manylinux2014; installers add the tags of older ones."""

OLDEST_LAMBDA_PYTHON = 12
"""Lambda runs 3.11 and older on Amazon Linux 2, whose glibc 2.26 is too old for ONNX Runtime's wheels."""


@dataclass(frozen=True)
class Target:
    """The place where a package will run."""

    cloud: str
    """`aws` or `gcp`."""
    arch: str
    """`arm64` or `x86_64`."""
    python: str
    """The minor version: `3.13`."""

    @property
    def is_complete(self) -> bool:
        """Whether the package contains the libraries; GCP's buildpack installs and compiles them itself."""
        return self.cloud == "aws"

    @property
    def elf_machine(self) -> int:
        """The processor in the ELF header of each library."""
        return ELF_MACHINES[self.arch]

    @property
    def platform_tags(self) -> list[str]:
        """The tags of wheels that run there, newest first.

        Every tag in between is listed, because pip compares them literally: obstore's is manylinux_2_24.
        """
        machine = MACHINES[self.arch]
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, OLDEST_GLIBC_MINOR - 1, -1)]
        return [*tags, f"manylinux2014_{machine}"]

    @property
    def uv_platform(self) -> str:
        """The newest tag as uv's platform; uv adds the older ones."""
        return f"{MACHINES[self.arch]}-manylinux_2_{GLIBC_MINOR}"

    @property
    def file_name(self) -> str:
        """The name of the zip. GCP's has neither libraries nor bytecode and is the same for every Python."""
        return "onnxlet-gcp.zip" if self.cloud == "gcp" else f"onnxlet-aws-{self.arch}-python{self.python}.zip"

    def other_machine(self) -> str | None:
        """Return why this machine cannot run a package for this target; None if it can."""
        if sys.platform != "linux":
            return f"this machine runs {platform.system()}, and the package is for Linux"
        if platform.machine() != MACHINES[self.arch]:
            return f"this machine is {platform.machine()}, and the package is for {MACHINES[self.arch]}"
        return None


def parse_target(cloud: str, arch: str | None, python: str) -> Target:
    """Return the target that the options name; without an architecture, the cloud's default.

    Raises:
        UsageError: An option is unknown, or the options exclude each other.
    """
    if cloud not in CLOUDS:
        raise UsageError(f"--cloud {cloud}: expected {' or '.join(CLOUDS)}")
    arch = arch or DEFAULT_ARCHITECTURES[cloud]
    if arch not in MACHINES:
        raise UsageError(f"--arch {arch}: expected {' or '.join(MACHINES)}")
    if cloud == "gcp" and arch != DEFAULT_ARCHITECTURES["gcp"]:
        raise UsageError(f"--arch {arch}: GCP's functions run on {DEFAULT_ARCHITECTURES['gcp']} only")
    if not re.fullmatch(r"3\.(1[1-9]|[2-9]\d)", python):
        raise UsageError(f"--python {python}: expected a minor version from 3.11 on, like {DEFAULT_PYTHON}")
    return Target(cloud, arch, python)


def warnings(target: Target) -> list[str]:
    """Return warnings about a target for which a package can still be made."""
    if target.cloud == "aws" and int(target.python.partition(".")[2]) < OLDEST_LAMBDA_PYTHON:
        return [f"Lambda's python{target.python} has an older C library than the wheels need: deploy on 3.12 or newer"]
    return []
