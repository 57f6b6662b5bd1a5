import io
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from windsock_kit import logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return lambda: [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    "key",
    ["authorization", "Authorization", "x-api-key", "db_password", "client_secret", "token"],
)
def test_value_of_a_secret_key_is_hidden(key: str) -> None:
    assert logs.scrub(None, "info", {key: "s3cret", "event": "e"})[key] == "***"


@pytest.mark.parametrize("key", ["input_tokens", "flag_key", "targeting_key", "group_key", "path"])
def test_value_of_another_key_stays(key: str) -> None:
    assert logs.scrub(None, "info", {key: "dark_mode"}) == {key: "dark_mode"}


def test_secrets_are_hidden_at_any_depth() -> None:
    event = {"request": {"headers": [{"cookie": "a=1"}, {"accept": "x"}]}}

    scrubbed = logs.scrub(None, "info", event)

    assert scrubbed == {"request": {"headers": [{"cookie": "***"}, {"accept": "x"}]}}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (
            "to postgresql://metrics:s3cret@db:5432/x now",
            "to postgresql://metrics:***@db:5432/x now",
        ),
        ("redis://:s3cret@cache/0", "redis://:***@cache/0"),
        ("sent Authorization: Bearer wsk_abc.DEF-1", "sent Authorization: Bearer ***"),
        ("GET /x?api_key=abc&step=1m", "GET /x?api_key=***&step=1m"),
        ("http://localhost:8001/api?step=1m", "http://localhost:8001/api?step=1m"),
        ("mail to ops@example.com", "mail to ops@example.com"),
    ],
)
def test_secrets_inside_texts_are_hidden(text: str, scrubbed: str) -> None:
    assert logs.scrub(None, "info", {"error": text}) == {"error": scrubbed}


@given(user=st.from_regex(r"[a-z]{1,9}", fullmatch=True), text=st.text(max_size=40))
def test_password_of_a_url_never_shows(user: str, text: str) -> None:
    message = f"{text} postgresql://{user}:hunter2-hunter2@db/x"

    assert "hunter2" not in logs.scrub(None, "info", {"error": message})["error"]


def test_own_events_and_those_of_libraries_have_one_shape(lines: Lines) -> None:
    logs.configure("demo", format="json", level="info")

    structlog.get_logger().info("rollup_written", rows=3)
    logging.getLogger("uvicorn.error").info("Started %s", "well")

    own, foreign = lines()
    assert own == {
        "event": "rollup_written",
        "rows": 3,
        "service": "demo",
        "level": "info",
        "timestamp": own["timestamp"],
    }
    assert own["timestamp"].endswith("Z")
    assert foreign["event"] == "Started well"
    assert foreign["logger"] == "uvicorn.error"
    assert foreign["service"] == "demo"


def test_request_id_stands_on_every_line(lines: Lines) -> None:
    logs.configure("demo")
    token = logs.request_id.set("r-9")

    structlog.get_logger().info("a")
    logging.getLogger("asyncpg").warning("b")
    logs.request_id.reset(token)

    assert [line["request_id"] for line in lines()] == ["r-9", "r-9"]


def test_libraries_are_quiet_below_warning(lines: Lines) -> None:
    logs.configure("demo", level="info")

    logging.getLogger("some.library").info("chatter")
    structlog.get_logger().debug("detail")

    assert lines() == []


def test_traceback_is_on_one_line_and_scrubbed(lines: Lines) -> None:
    logs.configure("demo")
    try:
        raise ValueError("cannot reach redis://:s3cret@cache/0")
    except ValueError:
        structlog.get_logger().exception("probe_failed")

    (line,) = lines()
    assert line["level"] == "error"
    assert "ValueError: cannot reach redis://:***@cache/0" in line["exception"]
    assert "s3cret" not in str(line)


@pytest.mark.parametrize("value", [2**70, "\udc80", object(), {1: 2}])
def test_value_that_json_cannot_hold_does_not_fail(lines: Lines, value: object) -> None:
    logs.configure("demo")

    structlog.get_logger().info("odd", value=value)

    assert "odd" in lines()[0]["event"]


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("demo", format="console")

    structlog.get_logger().warning("store_away", password="s3cret")

    out = capsys.readouterr().out
    assert "store_away" in out
    assert "s3cret" not in out


def test_reader_that_has_gone_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = io.StringIO()
    monkeypatch.setattr(sys, "stdout", gone)
    logs.configure("demo")
    gone.close()

    structlog.get_logger().info("nobody_reads_this")
    logging.getLogger("uvicorn").error("nor this")
