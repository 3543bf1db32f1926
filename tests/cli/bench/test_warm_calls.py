from pathlib import Path

from onnxlet_cli.bench.models import load_model
from onnxlet_cli.bench.warm_calls import FACTORIES, output_of


def test_the_bare_run_gives_the_expected_output(tmp_path: Path) -> None:
    model = load_model("tiny", tmp_path)
    for case in ("run", "run, default threads"):
        model.check(output_of(FACTORIES[case]("tiny", model.path.parent)(None)))


def test_the_output_of_a_function_is_read_from_its_body() -> None:
    result = {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": '{"y": [[1.0, 2.0]]}'}
    assert output_of(result).tolist() == [[1.0, 2.0]]
