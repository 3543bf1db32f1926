import re

import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_training.jobs.job import Job, check_url, machine

KINDS = {None: "cpu", "t4": "small", "l4": "large"}


def test_a_name_says_the_recipe_and_is_new_each_time() -> None:
    job = Job("char_rnn!", {}, "image", "s3://runs")
    names = {job.name() for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"onnxlet-char-rnn--\d{8}-\d{6}-[0-9a-f]{4}", name) for name in names)


def test_a_gpu_that_no_machine_has_is_refused_with_those_that_one_has() -> None:
    assert (machine(KINDS, None), machine(KINDS, "l4")) == ("cpu", "large")
    with pytest.raises(UsageError, match="--gpu abacus: expected one of t4, l4"):
        machine(KINDS, "abacus")


def test_only_the_clouds_own_storage_can_be_reached() -> None:
    check_url("--data", "s3://sets/a", "s3")
    for url in ("gs://sets/a", "/home/me", "s3:/sets"):
        with pytest.raises(UsageError, match=f"--data {url}: expected a URL of s3://"):
            check_url("--data", url, "s3")
