from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.servers import server_folder
from tests.fixtures.stacks import EmbeddedStack


@pytest.fixture
def stack() -> Iterator[EmbeddedStack]:
    """Give a stack that is not up yet; whatever the test does, it is down afterwards."""
    with server_folder() as folder:
        stack = EmbeddedStack(folder)
        yield stack
        stack.run("down")
        assert stack.left() == []


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[EmbeddedStack]:
    """Give a stack that is up, the demo's part included, for the tests of one module."""
    with server_folder() as folder:
        stack = EmbeddedStack(folder, demo=True)
        stack.up()
        yield stack
        stack.run("down")
