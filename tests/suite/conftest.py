from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.servers import server_folder
from tests.fixtures.stacks import EmbeddedStack


@pytest.fixture(scope="session")
def suite() -> Iterator[EmbeddedStack]:
    """Give the whole suite, running as ``./task up`` runs it."""
    with server_folder() as folder:
        stack = EmbeddedStack(folder, launcher="windsock_embedded", demo=True)
        try:
            stack.up()
            yield stack
        finally:
            stack.run("down")
