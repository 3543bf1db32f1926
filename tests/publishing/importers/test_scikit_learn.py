"""Models of scikit-learn as their converter writes them, published without an option and compared with scikit-learn."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.gate import with_activation
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.assembly import Import
from onnxlet_publishing.importers.settings import Overrides
from onnxlet_publishing.publish import publish
from tests.helpers import app_requests, scikit_models, ungated
from tests.helpers.payload_requests import predictions
from tests.helpers.scikit_models import CLASSIFIERS, COLOURS, ROWS, classifier, converted, plain


def imported(folder: Path, model: onnx.ModelProto, **overrides: Any) -> Import:
    onnx.save(model, folder / "m.onnx")
    (source,) = find(str(folder / "m.onnx"))
    return read(source, overrides=Overrides(**overrides))


def served(folder: Path, model: onnx.ModelProto, **overrides: Any) -> App:
    """An app with a model, whose activation the gate has decided."""
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    candidate, _ = with_activation(imported(folder, model, **overrides).candidate)
    ungated.publish(registry, candidate)
    return App(Settings(registry.store.url))


def probabilities(app: App, labels: list[str], rows: Any) -> np.ndarray:
    answers = predictions(app, "m", rows)
    by_label = [{item["label"]: item["probability"] for item in answer["top"]} for answer in answers]
    return np.array([[row[label] for label in labels] for row in by_label])


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
def test_each_form_of_probabilities_is_served_by_name(tmp_path: Path, zipmap: object) -> None:
    model = classifier("logistic")
    app = served(tmp_path, converted(model, zipmap))
    np.testing.assert_allclose(probabilities(app, list(COLOURS), ROWS.tolist()), model.predict_proba(ROWS), atol=1e-6)


@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_and_probabilities_are_those_of_scikit_learn(tmp_path: Path, name: str, is_binary: bool) -> None:
    model = classifier(name, is_binary=is_binary)
    app = served(tmp_path, converted(model, zipmap=False))
    rows = ROWS[:30]
    answers = predictions(app, "m", rows.tolist())
    assert [answer["label"] for answer in answers] == list(map(str, model.predict(rows)))
    found = probabilities(app, list(map(str, model.classes_)), rows.tolist())
    np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-6)


def test_a_zipmap_is_taken_out_without_a_change_of_the_numbers(tmp_path: Path) -> None:
    model = classifier("forest")
    without, with_zipmap = (
        probabilities(served(tmp_path, converted(model, zipmap)), list(COLOURS), ROWS.tolist())
        for zipmap in (False, True)
    )
    np.testing.assert_array_equal(without, with_zipmap)


def test_it_says_what_it_found(tmp_path: Path) -> None:
    lines = imported(tmp_path, converted(classifier("logistic"))).lines
    assert lines == (
        "a classifier of scikit-learn",
        "task: tabular-classification (its class names; --task)",
        "labels: 3 (blue, green, red) (the graph; --labels)",
        "columns: 4 (x0, x1, x2, x3) (by their places; --columns)",
    )
    assert (
        "columns: 4 (age, class, sex, port) (the inputs; --columns)"
        in imported(tmp_path, scikit_models.passengers_file()).lines
    )


def test_columns_have_names_without_an_option_and_with_one(tmp_path: Path) -> None:
    model = scikit_models.regressor()
    (expected,) = model.predict(ROWS[:1])
    file, row = plain(scikit_models.regressor()), [float(value) for value in ROWS[0]]
    app = served(tmp_path, file)
    assert predictions(app, "m", dict(zip(["x0", "x1", "x2", "x3"], row, strict=True))) == [pytest.approx(expected)]
    app = served(tmp_path, file, columns="d, c,b,a")
    assert predictions(app, "m", dict(zip("dcba", row, strict=True))) == [pytest.approx(expected)]
    assert app_requests.post(app, "/predict/m", {"x0": 1, "x1": 1, "x2": 1, "x3": 1})[0] == 400


def test_several_numbers_are_a_list(tmp_path: Path) -> None:
    app = served(tmp_path, plain(scikit_models.two_numbers()))
    expected = scikit_models.two_numbers().predict(ROWS[:2])
    np.testing.assert_allclose(predictions(app, "m", ROWS[:2].tolist()), expected, atol=1e-5)


def test_a_pipeline_takes_columns_of_several_datatypes(tmp_path: Path) -> None:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, imported(tmp_path, scikit_models.passengers_file()).candidate)
    app = App(Settings(registry.store.url))
    found = probabilities(app, ["no", "yes"], scikit_models.PASSENGERS)
    expected = scikit_models.passengers().predict_proba(scikit_models.passenger_rows())
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_clusters_and_outliers_have_values_by_name(tmp_path: Path) -> None:
    app = served(tmp_path, plain(scikit_models.clusters()))
    model = scikit_models.clusters()
    answers = predictions(app, "m", ROWS[:5].tolist())
    assert [answer["label"] for answer in answers] == model.predict(ROWS[:5]).tolist()
    np.testing.assert_allclose([answer["scores"] for answer in answers], model.transform(ROWS[:5]), atol=1e-3)
    app = served(tmp_path, plain(scikit_models.outliers()))
    answers = predictions(app, "m", ROWS[:5].tolist())
    assert [answer["label"] for answer in answers] == scikit_models.outliers().predict(ROWS[:5]).tolist()


def test_a_classifier_of_texts_takes_texts(tmp_path: Path) -> None:
    app, model = served(tmp_path, scikit_models.texts_file()), scikit_models.texts()
    for body in (["free money"], [["free money"]], {"text": "free money"}, "free money"):
        (answer,) = predictions(app, "m", body)
        assert answer["label"] == "spam"
        assert answer["probability"] == pytest.approx(model.predict_proba(["free money"])[0, 1], abs=1e-6)
    assert predictions(app, "m", b"free money", "text/plain") == [answer]
    status, labels = app_requests.post(app, "/models/m", {"inputs": "free money"})
    assert (status, labels[0][0]["label"]) == (200, "spam")


def test_other_models_are_not_of_this_kind(tmp_path: Path) -> None:
    file = plain(scikit_models.regressor())
    file.producer_name = "pytorch"
    del file.opset_import[:]
    file.opset_import.extend([onnx.helper.make_opsetid("", 18)])
    assert imported(tmp_path, file).candidate.task is None


def test_a_classifier_of_several_things_is_served_as_tensors(tmp_path: Path) -> None:
    file = converted(classifier("logistic"))
    (zipmap,) = (node for node in file.graph.node if node.op_type == "ZipMap")
    del zipmap.attribute[:]
    found = imported(tmp_path, file)
    assert found.candidate.task is None
    assert found.lines[0].startswith("a model of scikit-learn that labels several things without a known task")


def test_the_users_labels_replace_the_graphs(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    model = classifier("logistic", is_binary=True)
    app = served(tmp_path, converted(model), labels=tmp_path / "labels.txt")
    answers = predictions(app, "m", ROWS.tolist())
    assert [answer["label"] for answer in answers] == ["yes" if label else "no" for label in model.predict(ROWS)]
