"""What docs/alerting.md tells people to send, sent."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator

import orjson
import pytest_asyncio

from tests.alerts_svc.api import Api, running_api
from tests.fixtures.servers import REPOSITORY, RunningPostgres
from tests.suite.documents import section, table_rows

GUIDE = (REPOSITORY / "docs" / "alerting.md").read_text()
CURL = re.compile(r"curl (?:-X (\w+) )?(\S+)(?: --json '([^']*)')?")
GATEWAY = "http://127.0.0.1:8000"
# What stands for an incident, and for the silence that was just made.
INCIDENT, SILENCE = "4c0f…", "6d2f7a52-3b0e-4f0e-9d1b-0d7a1a1d2c3b"


@pytest_asyncio.fixture(scope="module")
async def api(running_postgres: RunningPostgres, metrics_url: str) -> AsyncGenerator[Api]:
    database = await running_postgres.new_alerts_database("alerts_guide")
    async with running_api(database, metrics_url) as found:
        yield found


def commands() -> Iterator[tuple[str, str, str | None]]:
    """Yield method, path and body of each command, in the order of the page."""
    for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL):
        base = re.search(r"^at=(\S+)$", block, re.MULTILINE)
        for method, address, body in CURL.findall(block):
            path = address.replace("$at", base[1] if base else "").removeprefix(GATEWAY)
            yield method or ("POST" if body else "GET"), path, body or None


async def test_every_command_of_the_guide_does_what_it_says(api: Api) -> None:
    fired = await api.firing("Guide", operation="answer_question")
    known = {INCIDENT: fired["id"]}
    answered = {}
    for method, path, body in commands():
        content = None if body is None else orjson.dumps(orjson.loads(body))
        asked = re.sub("|".join(known), lambda found: known[found[0]], path)
        answer = await api.client.request(method, asked, content=content)
        if path.endswith("/silences"):
            known[SILENCE] = answer.json()["id"]
        # Two sections begin with the same channel.
        if not (answer.status_code == 409 and path.endswith("/channels")):
            answered[method, path, body] = (answer.status_code, answer.text)

    assert len(answered) > 17
    assert known.keys() == {INCIDENT, SILENCE}
    assert {what: told for what, told in answered.items() if told[0] >= 300} == {}


async def test_what_the_guide_says_of_the_default_rules_is_so(api: Api) -> None:
    rules = {each["name"]: each for each in (await api.get("/api/alerts/rules"))["rules"]}
    rows = table_rows(section(GUIDE, "The default rules"))

    told = [(name, row[1], *row[3:]) for row in rows for name in re.findall(r"\w+", row[0])]

    assert {name for name, *_ in told} == {
        each["name"] for each in rules.values() if each["origin"] == "default"
    } - {"ErrorBudgetBurn"}
    for name, by, warning, critical in told:
        condition = rules[name]["condition"]
        assert condition["group_by"] == [part for part in by.split(", ") if part]
        assert (condition["warning"] is None) == (warning == "")
        assert (condition["critical"] is None) == (critical == "")
        for level, text in (("warning", warning), ("critical", critical)):
            if found := re.fullmatch(r"([<>]) \$?([\d.]+)( %)?(?: ms)?", text):
                value = float(found[2]) / (100 if found[3] else 1)
                assert (condition["comparison"], condition[level]) == (found[1], value), name
