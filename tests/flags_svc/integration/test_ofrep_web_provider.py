"""OpenFeature's own client for browsers against us: bulk answers, tags, and a real EventSource."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from flags_svc.domain.flag import InEnvironment
from tests.flags_svc.browser import browsing
from tests.flags_svc.ofrep_app import (
    LIFE_SECONDS,
    Scene,
    Service,
    a_flag,
    a_scene,
    drop_streams,
)
from tests.flags_svc.waiting import until
from tests.flags_svc.web_client import Line, WebClient, installed, web_client
from windsock_kit.testing import FakeClock, serving

ANN = {"targetingKey": "ann"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("web"))


@dataclass
class Page:
    """A page in front of a process."""

    client: WebClient
    service: Service
    stack: AsyncExitStack

    @property
    def scene(self) -> Scene:
        return self.service.scene

    async def start(self, context: dict[str, Any] = ANN, **options: Any) -> None:
        base = self.service.base
        await self.client.do("start", base=base, context=context, options=options)

    async def connected(self, streams: int = 1) -> None:
        """Wait until the page listens."""
        await until(lambda: len(self.scene.hub) == streams)


@pytest_asyncio.fixture
async def page(folder: Path) -> AsyncGenerator[Page]:
    async with page_before(folder, a_scene(clock=FakeClock())) as page:
        yield page


@asynccontextmanager
async def page_before(folder: Path, scene: Scene) -> AsyncGenerator[Page]:
    service = Service(scene)
    async with (
        AsyncExitStack() as stack,
        serving(service) as service.base,
        web_client(folder) as client,
    ):
        await service.run(scene, stack)
        yield Page(client, service, stack)


def is_stream(what: str) -> Any:
    return lambda line: line.get("stream") == what


def is_event(what: str) -> Any:
    return lambda line: line.get("event") == what


def is_fetch(status: int) -> Any:
    return lambda line: line.get("fetched") == status


async def test_all_flags_are_there_from_the_start(page: Page) -> None:
    await page.start()
    assert await page.client.value("static", False) is True
    assert await page.client.value("text", "") == "Grüße, 世界"
    assert await page.client.value("whole", 0) == 2**53 - 1
    assert await page.client.value("fraction", 0) == 1.0
    assert await page.client.value("object", {}) == {"a": [1, 2.5, None], "b": {"c": "d"}}
    split = await page.client.details("half", False)
    assert split["reason"] == "SPLIT"
    assert split["variant"] in {"on", "off"}
    missing = await page.client.details("missing", True)
    assert (missing["value"], missing["errorCode"]) == (True, "FLAG_NOT_FOUND")
    company = await page.client.details("by-company", True)
    assert (company["value"], company["errorCode"]) == (True, "INVALID_CONTEXT")


async def test_zero_is_a_value(page: Page) -> None:
    await page.start()
    for key, zero, otherwise in (
        ("false", False, True),
        ("empty", "", "y"),
        ("zero", 0, 2),
        ("zero-fraction", 0, 2.5),
        ("empty-object", {}, {"b": 2}),
    ):
        found = await page.client.details(key, otherwise)
        assert (found["value"], found["variant"]) == (zero, "zero")


async def test_a_change_arrives_by_itself(page: Page) -> None:
    await page.start()
    await page.connected()
    await page.scene.disable("static")
    changed = await page.client.heard(is_event("changed"))
    assert changed["flags"] == ["static"]
    assert await page.client.value("static", True) is False


async def test_another_context_is_evaluated_though_its_user_is_the_same(page: Page) -> None:
    await page.start(cacheMode="disabled")
    await page.client.heard(is_stream("open"))
    assert await page.client.value("targeted", False) is True
    await page.client.do("context", context=ANN | {"country": "DE"})
    assert await page.client.value("targeted", True) is False
    assert len(page.scene.hub) == 1, "the stream is still the right one"
    assert sum(map(is_stream("open"), page.client.lines)) == 1


async def test_the_environment_is_chosen_in_the_query(page: Page) -> None:
    await page.start(query={"environment": "staging"})
    await page.connected()
    assert (await page.client.details("static", True))["reason"] == "DISABLED"
    await page.scene.put(a_flag("static", staging=InEnvironment(enabled=True)))
    await page.client.until("static", True, False)


async def test_what_changes_while_the_stream_is_away_arrives_when_it_is_back(page: Page) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    drop_streams(page.scene)
    await page.client.heard(is_stream("error"))
    await page.scene.disable("static")
    await page.client.heard(is_stream("refetchEvaluation"))
    await page.client.until("static", False, True)


async def test_a_stream_that_comes_back_having_missed_nothing_asks_for_nothing(page: Page) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    so_far = len(page.client.lines)
    drop_streams(page.scene)
    await page.client.heard(is_stream("connected"), since=so_far)
    await page.scene.disable("static")
    await page.client.heard(is_event("changed"), since=so_far)
    assert sum(map(is_fetch(200), page.client.lines[so_far:])) == 1


async def test_a_restart_is_outlived(page: Page) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    await page.scene.put(a_flag("static", variants={"off": False, "on": True}), elsewhere=True)
    await page.service.run(Scene(page.scene.configuration, clock=page.scene.clock), page.stack)
    await page.client.until("static", False, True)
    await page.connected()
    await page.scene.disable("text")
    await page.client.until("text", "", "x")


@pytest.mark.parametrize("changed", [True, False])
async def test_a_token_that_has_expired_is_replaced(page: Page, changed: bool) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    page.scene.clock.advance(LIFE_SECONDS)
    so_far = len(page.client.lines)
    drop_streams(page.scene)
    if changed:
        await page.scene.disable("text")
    refused = await page.client.heard(lambda line: line.get("status") == 401, since=so_far)
    assert refused["stream"] == "error"
    await page.client.heard(is_stream("connected"), since=so_far)
    assert await page.client.value("text", "x") == ("" if changed else "Grüße, 世界")
    await page.scene.disable("static")
    await page.client.until("static", False, True)


async def test_another_key_of_the_tokens_is_outlived(page: Page) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    so_far = len(page.client.lines)
    page.scene.tokens.use(b"another")
    drop_streams(page.scene)
    await page.client.heard(is_stream("connected"), since=so_far)
    await page.scene.disable("static")
    await page.client.until("static", False, True)


async def test_a_page_that_opens_again_goes_on_from_what_it_kept(page: Page) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    await page.client.do("stop")
    page.scene.clock.advance(LIFE_SECONDS)
    await page.scene.disable("static")
    so_far = len(page.client.lines)
    await page.start()
    await page.client.until("static", False, True)
    await page.client.heard(is_stream("connected"), since=so_far)
    await page.scene.disable("text")
    await page.client.until("text", "", "x")


async def test_nothing_is_sent_twice_for_nothing(page: Page) -> None:
    await page.start()
    await page.client.heard(is_stream("connected"))
    await page.client.do("stop")
    so_far = len(page.client.lines)
    await page.start()
    await page.client.heard(is_fetch(304), since=so_far)
    await page.client.heard(is_stream("connected"), since=so_far)
    told: list[Line] = page.client.lines[so_far:]
    assert not any(map(is_stream("refetchEvaluation"), told))
    assert (await page.client.details("static", False))["value"] is True


async def test_an_unknown_environment_is_told(page: Page) -> None:
    with pytest.raises(RuntimeError, match="400"):
        await page.start(query={"environment": "nowhere"})


async def test_a_page_in_a_browser_at_another_address_follows(folder: Path) -> None:
    service = Service(a_scene())
    async with (
        AsyncExitStack() as stack,
        serving(service) as service.base,
        browsing(folder, service.base) as told,
    ):
        await service.run(service.scene, stack)
        assert await told() == {"static": True, "text": "Grüße, 世界"}
        await until(lambda: len(service.scene.hub) == 1)
        await service.scene.disable("static")
        assert await told() == {"static": False, "text": "Grüße, 世界"}
        drop_streams(service.scene)
        await service.scene.disable("text")
        assert await told() == {"static": False, "text": ""}
