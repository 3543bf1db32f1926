"""What the tests of faults share: a front before each cloud's store."""

from collections.abc import Iterator

import pytest

from tests.faults.front import Front
from tests.faults.run import SCHEMES, serving_fronts


@pytest.fixture(scope="session")
def fronts() -> Iterator[dict[str, Front]]:
    with serving_fronts() as found:
        yield found


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    scheme: str = request.param
    return scheme


@pytest.fixture
def front(fronts: dict[str, Front], scheme: str) -> Front:
    return fronts[scheme]
