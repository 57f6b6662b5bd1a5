from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.servers import in_memory, server_folder
from tests.fixtures.stacks import EmbeddedStack


@pytest.fixture
def stack() -> Iterator[EmbeddedStack]:
    """Give a stack that is not up yet; whatever the test does, it is down afterwards."""
    with server_folder(in_memory()) as folder:
        stack = EmbeddedStack(folder)
        yield stack
        stack.run("down")
        assert stack.left() == []


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[EmbeddedStack]:
    """Give a stack that is up, the demo's part included, for all tests that leave it as it is."""
    with server_folder(in_memory()) as folder:
        stack = EmbeddedStack(folder, demo=True)
        stack.up()
        yield stack
        stack.run("down")
