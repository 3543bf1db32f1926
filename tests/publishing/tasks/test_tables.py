from onnxlet.contract.tasks.tables import Column, TableTask
from onnxlet_publishing.onnx_file import from_model
from onnxlet_publishing.tasks.tables import build, sample_rows
from tests.helpers import scikit_models, tables

PASSENGER = TableTask("tabular-classification", tuple(Column(name, name) for name in scikit_models.PASSENGER_TYPES))


def test_a_sample_row_has_values_that_the_encoders_know() -> None:
    model = from_model("m.onnx", scikit_models.passengers_file())
    rows = list(sample_rows(PASSENGER, model))
    known = {name: {row[name] for row in scikit_models.PASSENGERS} for name in ("class", "sex", "port")}
    assert len(rows) == 3
    for row in rows:
        assert row.keys() == scikit_models.PASSENGER_TYPES.keys()
        assert all(row[name] in values for name, values in known.items())


def test_a_column_without_listed_values_has_one_of_its_datatype() -> None:
    candidate = tables.people_candidate()
    assert isinstance(candidate.task, TableTask)
    assert next(sample_rows(candidate.task, candidate.model)) == {"age": 1, "height": 1.0, "name": "a"}


def test_a_table_needs_no_graph() -> None:
    candidate = tables.people_candidate()
    assert build(PASSENGER, candidate.model) == []
