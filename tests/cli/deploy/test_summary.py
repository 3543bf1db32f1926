from pathlib import Path

import pytest

from onnxlet_cli.deploy import summary
from onnxlet_cli.deploy.cloud import Outputs, Retained
from tests.helpers.fake_cloud import FakeCloud

BUCKET = Retained("bucket", "models", "rm -r models")


def test_a_removal_names_what_is_left_and_how_to_remove_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_removal([BUCKET])
    assert capsys.readouterr().out.splitlines()[1:] == ["  rm -r models"]
    summary.print_removal([])
    assert capsys.readouterr().out == "Everything is removed\n"
    document = summary.removal_document(FakeCloud(tmp_path), [BUCKET])
    assert document == {"cloud": "fake", "kept": [{"kind": "bucket", "name": "models", "remedy": "rm -r models"}]}


def test_the_urls_are_named() -> None:
    places = summary.places(Outputs("https://h", "s3://r", "s3://i", "s3://o"))
    assert places == [("HTTPS", "https://h"), ("registry", "s3://r"), ("input", "s3://i"), ("results", "s3://o")]
