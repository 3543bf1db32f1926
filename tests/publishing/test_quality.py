"""The gate's last question, and the export's: nothing worse than the live version, nothing but the network itself."""

import json
import math
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.main import app
from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.publish import publish
from onnxlet_publishing.quality import HIGHER_IS_BETTER, LOWER_IS_BETTER, Margin, check_not_worse
from onnxlet_training import data
from onnxlet_training.recipe import Options
from onnxlet_training.recipes import RECIPES, find_recipe
from tests.helpers import graphs
from tests.helpers.fixed_network import Fixed, tiny

MARGIN = Margin()

Train = Callable[..., Result]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run `onnxlet train tiny` for a network that is right in a share of the rows."""
    monkeypatch.chdir(tmp_path)

    def run(share: float, *options: str) -> Result:
        monkeypatch.setitem(RECIPES, "tiny", tiny(Fixed(share)))
        return CliRunner().invoke(app, ["train", "tiny", "--registry", "registry", *options])

    return run


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "registry").as_uri(), create=True))


class TestCommand:
    def test_what_is_worse_than_the_live_version_is_not_published(self, train: Train, registry: Registry) -> None:
        assert train(0.9).exit_code == 0
        done = train(0.8)
        assert done.exit_code == 1
        assert isinstance(done.exception, ModelError)
        words = "tiny: accuracy is 0.8000, which is worse; live version 1 has 0.9000; --force"
        assert str(done.exception).startswith(words)
        assert registry.versions("tiny") == [1]
        assert registry.resolve("tiny").metrics["accuracy"] == pytest.approx(0.9)

    def test_what_is_as_good_or_better_is_live(self, train: Train, registry: Registry) -> None:
        for share in (0.9, 0.9, 1.0):
            done = train(share)
            assert done.exit_code == 0, done.output
        assert registry.resolve("tiny").version == 3
        assert "tiny version 3" in done.stderr
        assert "is live" in done.stderr

    def test_force_publishes_what_is_worse(self, train: Train, registry: Registry) -> None:
        train(0.9)
        done = train(0.5, "--force", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["live"] is True
        assert registry.resolve("tiny").metrics["accuracy"] == pytest.approx(0.5, abs=0.01)

    def test_stage_keeps_what_is_worse_and_what_is_live(self, train: Train, registry: Registry) -> None:
        train(0.9)
        done = train(0.5, "--stage", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["live"] is False
        assert "staged: onnxlet promote tiny 2 makes it live" in done.stderr
        assert registry.versions("tiny") == [1, 2]
        assert registry.resolve("tiny").version == 1

    def test_the_comparison_is_with_the_live_version_and_not_with_the_newest(
        self, train: Train, registry: Registry
    ) -> None:
        train(0.5)
        train(1.0, "--stage")
        assert train(0.6).exit_code == 0
        assert registry.resolve("tiny").version == 3


class TestMeasures:
    def check(self, live: dict[str, float], new: dict[str, float]) -> None:
        registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
        publish(registry, replace(graphs.digits_candidate(), metrics=live))
        check_not_worse(registry, replace(graphs.digits_candidate(1), metrics=new), MARGIN)

    def refused(self, live: dict[str, float], new: dict[str, float], *words: str) -> None:
        with pytest.raises(ModelError) as caught:
            self.check(live, new)
        for word in (*words, "--force", "--stage"):
            assert word in str(caught.value)

    @pytest.mark.parametrize("name", HIGHER_IS_BETTER)
    def test_a_lower_measure_is_refused_beyond_the_margin(self, name: str) -> None:
        self.check({name: 0.9}, {name: 0.95})
        self.check({name: 0.9}, {name: 0.8901})
        self.refused({name: 0.9}, {name: 0.889}, f"{name} is 0.8890, which is worse; live version 1 has 0.9000")

    @pytest.mark.parametrize("name", LOWER_IS_BETTER)
    def test_a_higher_measure_is_refused_beyond_the_margin(self, name: str) -> None:
        self.check({name: 20.0}, {name: 3.0})
        self.check({name: 20.0}, {name: 20.9})
        self.refused({name: 20.0}, {name: 21.1}, f"{name} is 21.1000, which is worse; live version 1 has 20.0000")

    def test_a_distance_that_rounding_made_negative_has_a_margin_too(self) -> None:
        self.check({"feature_distance": -1e-3}, {"feature_distance": -1e-3})

    @pytest.mark.parametrize("name", [*HIGHER_IS_BETTER, *LOWER_IS_BETTER])
    def test_a_measure_that_is_missing_or_no_number_is_refused(self, name: str) -> None:
        self.refused({name: 0.9}, {"other": 1.0}, f"{name} is not measured; live version 1 has 0.9000")
        self.refused({name: 0.9}, {name: math.nan}, f"{name} is not measured")

    def test_one_worse_measure_among_better_ones_is_refused(self) -> None:
        self.refused({"accuracy": 0.9, "auc": 0.9}, {"accuracy": 0.99, "auc": 0.5}, "auc is 0.5000")

    def test_without_a_live_version_or_its_measure_anything_is_good_enough(self) -> None:
        self.check({}, {"accuracy": 0.1})
        self.check({"operators": 5.0}, {"operators": 500.0, "perplexity": 1e9})
        check_not_worse(
            Registry(open_store(f"memory://{uuid.uuid4()}")),
            replace(graphs.digits_candidate(), metrics={"accuracy": 0.1}),
            MARGIN,
        )


@pytest.mark.usefixtures("train")
class TestData:
    def test_data_that_a_recipe_would_not_read_are_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        for location in ("images", "nowhere", "s3://bucket/images"):
            done = CliRunner().invoke(app, ["train", "digits", "--fast", "--data", location])
            assert isinstance(done.exception, UsageError)
            assert str(done.exception) == f"--data {location}: digits trains on its own data and takes no other"
            with pytest.raises(UsageError, match="takes no other"):
                data.load(find_recipe("digits"), Options(data=location), tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"images"}
        job = ["--on", "sagemaker", "--image", "image", "--output", "s3://bucket/out", "--registry", "s3://bucket/r"]
        done = CliRunner().invoke(app, ["train", "digits", *job, "--data", "s3://bucket/images"])
        assert "takes no other" in str(done.exception)

    def test_a_run_that_fails_leaves_no_folder(self, tmp_path: Path) -> None:
        for arguments in (
            ["mnist", "--data", "nowhere"],
            ["cats-dogs"],
            ["mnist", "--out", "runs/a/b", "--data", "no"],
        ):
            assert CliRunner().invoke(app, ["train", *arguments, "--registry", "registry"]).exit_code == 1
            assert not (tmp_path / "runs").exists()

    def test_a_folder_with_something_in_it_stays(self, tmp_path: Path) -> None:
        (tmp_path / "run" / "empty").mkdir(parents=True)
        (tmp_path / "run" / "notes.txt").write_text("mine")
        assert CliRunner().invoke(app, ["train", "cats-dogs", "--out", "run", "--registry", "registry"]).exit_code == 1
        assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
