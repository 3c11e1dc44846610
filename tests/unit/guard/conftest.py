from collections.abc import Iterator

import pytest

from tests.unit.guard.chain import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    made.close()
