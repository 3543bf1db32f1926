import pickle

from onnxlet_publishing.errors import CommandError
from onnxlet_training import errors
from tests.helpers.error_trees import drawn_parents, real_parents


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn_parents(errors) == real_parents(errors, CommandError)


def test_an_error_survives_its_way_between_processes() -> None:
    for name in real_parents(errors, CommandError):
        error = pickle.loads(pickle.dumps(vars(errors)[name]("a\nb")))
        assert (type(error).__name__, str(error)) == (name, "a b")
