from pathlib import Path

from onnxlet_cli.bench.deployment import BASELINES, SITE_PACKAGES, source_tree
from onnxlet_cli.bench.stage import Stage


def test_a_function_and_a_baseline_inherit_nothing_but_the_path(tmp_path: Path) -> None:
    stage = Stage("http://127.0.0.1:1", source_tree(), tmp_path)
    function, baseline = stage.function("aws_http", "tiny", "line"), stage.baseline("typical", "models/tiny.onnx")
    assert function.arguments[-1] == "main.aws_http"
    assert function.environment["ONNXLET_PREFETCH"] == "line"
    assert (baseline.folder, baseline.arguments[-1]) == (BASELINES, "typical.handler")
    assert baseline.environment["MODEL_PATH"] == str(tmp_path / "typical.onnx")
    assert baseline.environment["PYTHONPATH"] == str(SITE_PACKAGES)
    for command in (function, baseline):
        assert command.environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
        assert "VIRTUAL_ENV" not in command.environment
