from collections.abc import Iterator

import pytest

from tests.loadgen.integration.receiver import Receiver, running_receiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with running_receiver() as receiver:
        monkeypatch.setenv("WINDSOCK_ENDPOINT", receiver.url)
        monkeypatch.delenv("WINDSOCK_API_KEY", raising=False)
        yield receiver
