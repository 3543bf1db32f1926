import pickle

from onnxlet_cli import errors
from onnxlet_publishing.errors import CommandError
from tests.helpers.error_trees import drawn_parents, real_parents


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn_parents(errors) == real_parents(errors, CommandError)


def test_an_error_survives_its_way_between_processes() -> None:
    for name in real_parents(errors, CommandError):
        error = pickle.loads(pickle.dumps(vars(errors)[name]("a\nb")))
        assert (type(error).__name__, str(error)) == (name, "a b")


def test_a_service_that_may_answer_later_is_asked_again() -> None:
    retryable = {
        status: errors.ServiceError("no answer", status=status).is_retryable for status in (None, 403, 429, 503)
    }
    assert retryable == {None: True, 403: False, 429: True, 503: True}
