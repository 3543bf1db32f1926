"""The commands in the documentation: each is one that its tool would take."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("infra/*.md")])
DOCKERFILE = ROOT / "training/Dockerfile"

BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The blocks of code of a page, each command on one line."""
    return [re.sub(r" *\\\n *", " ", block) for block in BLOCK.findall(page.read_text())]


def commands(text: str, tool: str) -> Iterator[list[str]]:
    """The words of each command of a tool, also after a pipe, in an assignment or in `$(...)`."""
    for line in text.splitlines():
        for match in re.finditer(rf"(?:^|\| |&& |\$\(|`){tool} [^|&)`#]*", line):
            found = match[0].lstrip("|&$(` ")
            yield shlex.split(found)


def all_commands(tool: str) -> list[tuple[str, list[str]]]:
    return [(page.name, words) for page in PAGES for block in blocks(page) for words in commands(block, tool)]


def test_images_are_built_for_the_machines_that_run_them() -> None:
    """Without it a Mac makes an arm64 image: SageMaker and Vertex AI end with `exec format error`."""
    written = [line.removeprefix("#").strip() for line in DOCKERFILE.read_text().splitlines() if "docker build" in line]
    written += [line for line in (ROOT / "Makefile").read_text().splitlines() if "docker build" in line]
    found = [words for _, words in all_commands("docker")] + [shlex.split(line) for line in written]
    built = [words for words in found if words[1] == "build"]
    assert len(built) >= 4
    for words in built:
        assert ("--platform", "linux/amd64") in pairwise(words), words
        assert (ROOT / words[words.index("-f") + 1]).is_file(), f"{words}: run from the checkout's root"


def test_who_pushes_an_image_has_logged_in_before_and_built_it() -> None:
    pushing = [block for page in PAGES for block in blocks(page) if "docker push" in block]
    assert len(pushing) == 2, "one for each cloud"
    for block in pushing:
        steps = block.splitlines()
        login = next(index for index, line in enumerate(steps) if "docker login" in line or "configure-docker" in line)
        build = next(index for index, line in enumerate(steps) if "docker build" in line)
        push = next(index for index, line in enumerate(steps) if "docker push" in line)
        assert login < push
        assert build < push
        built, pushed = shlex.split(steps[build]), shlex.split(steps[push])
        assert built[built.index("-t") + 1] == pushed[2]


@pytest.mark.parametrize("major", ["12", "13"])
def test_the_image_holds_one_cuda(major: str) -> None:
    """Both frameworks and the base of one major version, whatever the argument of the build is."""
    text = DOCKERFILE.read_text()
    assert re.search(rf"^FROM nvidia/cuda:{major}\.\d+\.\d+-base-ubuntu24\.04 AS cuda{major}$", text, re.MULTILINE)
    assert text.index("ARG CUDA=13\n") < text.index("FROM cuda${CUDA}\nARG CUDA\n"), "an argument ends with its stage"
    assert '"jax[cuda$CUDA]" torch' in text
    assert re.search(r'if \[ "\$CUDA" = 12 \].*whl/cu12\d torch', text, re.DOTALL), "PyPI's torch is for CUDA 13"
