import gzip
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest

from loadgen.replay import main
from tests.loadgen.integration.receiver import Fault, Receiver

DATA = Path(__file__).parents[2] / "data"
CONVERSATION = str(DATA / "azure-conversation.csv")
CODE = str(DATA / "azure-code.csv")
MOONCAKE = str(DATA / "mooncake-conversation.jsonl")
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def azure_trace(path: Path, calls: int) -> str:
    """Write a trace in which every call is another: its context is its number."""
    start = datetime(2023, 11, 16, tzinfo=UTC)
    rows = [f"{start + timedelta(seconds=n):%Y-%m-%d %H:%M:%S.%f}0,{n},1\n" for n in range(calls)]
    path.write_text(HEADER + "".join(rows))
    return str(path)


def test_azure_rows_arrive_once_each_and_end_now(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now(UTC)

    assert main([CONVERSATION]) == 0

    stamps = sorted(call.timestamp for call in receiver.calls)
    assert len(stamps) == 400
    assert before <= stamps[-1] <= datetime.now(UTC)
    assert stamps[-1] - stamps[0] == pytest.approx(
        timedelta(seconds=106.330212), abs=timedelta(microseconds=4)
    )
    assert sum(call.input_tokens for call in receiver.calls) == 371_046
    assert sum(call.output_tokens for call in receiver.calls) == 104_009
    assert receiver.cache_events == []
    kinds = {
        (call.operation, call.environment, call.provider, call.model) for call in receiver.calls
    }
    assert kinds == {("conversation", "production", "openai", "gpt-4o-mini")}
    answer = capsys.readouterr().out
    assert "400 of 400 calls confirmed" in answer
    assert "400 accepted, 0 refused, 0 already there" in answer
    assert "371,046 in (of them 0 cached), 104,009 out" in answer
    assert (
        f"curl -s '{receiver.url}/api/metrics/dashboard?time_window_minutes=12"
        "&operation=conversation&environment=production'"
    ) in answer


def test_mooncake_rows_bring_their_prompt_cache(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([MOONCAKE]) == 0

    assert len(receiver.calls) == len(receiver.cache_events) == 200
    assert sum(call.cached_input_tokens for call in receiver.calls) == 164_864
    assert all(call.cached_input_tokens <= call.input_tokens for call in receiver.calls)
    outcomes = Counter((event.hit, event.miss_reason) for event in receiver.cache_events)
    assert outcomes == {(True, None): 199, (False, "cold"): 1}
    assert "2,782,179 in (of them 164,864 cached), 71,379 out" in capsys.readouterr().out


def test_labels_are_the_operators(receiver: Receiver) -> None:
    labels = ["--operation", "answer", "--environment", "staging", "--provider", "anthropic"]

    assert main([CODE, *labels, "--model", "claude-haiku-4-5", "--limit", "3"]) == 0

    kinds = {
        (call.operation, call.environment, call.provider, call.model) for call in receiver.calls
    }
    assert kinds == {("answer", "staging", "anthropic", "claude-haiku-4-5")}
    assert len(receiver.calls) == 3


def test_faults_of_the_suite_lose_and_double_nothing(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[Fault] = ["unavailable", "lost answer", "too many", "bad gateway", "lost answer"]
    receiver.faults.extend(faults)

    assert main([azure_trace(tmp_path / "trace.csv", 4_321)]) == 0

    assert sorted(call.input_tokens for call in receiver.calls) == list(range(4_321))
    assert receiver.requests == 9 + len(faults)
    assert receiver.most_at_once <= 4
    assert "3,321 accepted, 0 refused, 1,000 already there" in capsys.readouterr().out


def test_gzipped_standard_input_is_replayed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packed = gzip.compress(Path(azure_trace(tmp_path / "trace.csv", 700)).read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed)))

    assert main(["-"]) == 0

    assert sorted(call.input_tokens for call in receiver.calls) == list(range(700))
    assert {call.operation for call in receiver.calls} == {"azure"}


def test_live_replay_stamps_calls_when_they_are_sent(receiver: Receiver, tmp_path: Path) -> None:
    before = datetime.now(UTC)

    assert main([azure_trace(tmp_path / "trace.csv", 101), "--speed", "200"]) == 0

    stamps = {call.input_tokens: call.timestamp for call in receiver.calls}
    assert len(stamps) == 101
    assert before <= stamps[0]
    assert stamps[100] - stamps[0] == timedelta(seconds=0.5)
    assert stamps[100] <= datetime.now(UTC)
    assert len(receiver.stored) == 2


def test_repeated_run_is_known_to_the_suite(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([CODE, "--run-id", "monday"]) == 0
    assert main([CODE, "--run-id", "monday"]) == 0

    assert len(receiver.calls) == 200
    assert "0 accepted, 0 refused, 200 already there" in capsys.readouterr().out


def test_replay_that_broke_off_is_finished_by_the_run_id_it_names(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = azure_trace(tmp_path / "trace.csv", 4_000)
    first_answers: list[Fault | None] = [None, None, "lost answer"]
    outage: list[Fault | None] = ["bad gateway"] * 1000
    receiver.faults.extend(first_answers + outage)
    assert main([trace, "--patience", "0.3"]) == 1
    hint = re.search(r"3,000 calls left; (--run-id) (\S+) goes on there", capsys.readouterr().err)
    assert hint is not None
    receiver.faults.clear()

    assert main([trace, *hint.groups()]) == 0

    assert sorted(call.input_tokens for call in receiver.calls) == list(range(4_000))
    assert "2,500 accepted, 0 refused, 1,500 already there" in capsys.readouterr().out


def test_replay_without_a_run_id_is_a_new_one(receiver: Receiver) -> None:
    assert main([CODE]) == main([CODE]) == 0

    assert len(receiver.calls) == 400


def test_run_id_of_another_replay_hides_nothing(receiver: Receiver) -> None:
    assert main([CODE, "--run-id", "monday", "--limit", "100"]) == 0
    assert main([CODE, "--run-id", "monday", "--model", "gpt-4o"]) == 0

    assert len(receiver.calls) == 300


def test_refused_events_are_counted_and_named(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.refused_from = 198

    assert main([CODE]) == 1

    answer = capsys.readouterr().out
    assert "198 accepted, 2 refused" in answer
    assert answer.count("model: not today") == 2


def test_api_key_is_sent_as_bearer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINDSOCK_API_KEY", "wsk_secret")

    assert main([CODE]) == 0

    assert receiver.authorization == {"Bearer wsk_secret"}
    written = capsys.readouterr()
    assert "wsk_secret" not in written.out + written.err
    assert "$WINDSOCK_API_KEY" in written.out


def test_missing_key_is_said_and_not_tried_again(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.faults.append("forbidden")

    assert main([CODE]) == 1

    assert receiver.requests == 1
    assert "answered 403 no such key: set WINDSOCK_API_KEY" in capsys.readouterr().err


def test_other_server_is_told_from_a_suite(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.faults.append("nonsense")
    assert main([CODE]) == 1
    assert "not as a Windsock suite does" in capsys.readouterr().err

    assert main([CODE, "--endpoint", receiver.url + "/elsewhere"]) == 1
    assert "answered 404: is this a Windsock suite?" in capsys.readouterr().err


def test_suite_that_stays_unavailable_ends_the_patience(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.faults.extend(["bad gateway"] * 1000)

    assert main([CODE, "--patience", "0.3"]) == 1

    assert "gave up after 0.3 s of trying: /api/metrics/events answered 502" in (
        capsys.readouterr().err
    )


def test_suite_that_is_not_running_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

    assert main([CODE, "--endpoint", f"http://127.0.0.1:{port}"]) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        f"replay: no suite answers at http://127.0.0.1:{port}: start one with ./task up,"
        " or name another with --endpoint"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "2023-11-16 18:15:46,1,1\nnothing\n", "line 3: expected 3 columns"),
        (HEADER, "there is no call in it"),
        ("", "the file is empty"),
        (HEADER + "2023-11-16 18:15:46,1,1\n2023-12-16 18:15:46,1,1\n", "--limit 1"),
    ],
    ids=["bad line", "no call", "empty", "a month"],
)
def test_bad_file_is_refused_before_anything_is_sent(
    receiver: Receiver,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    message: str,
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content)

    assert main([str(path)]) == 2

    assert receiver.requests == 0
    assert message in capsys.readouterr().err


def test_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.csv"]) == 2

    assert capsys.readouterr().err == "replay: nowhere.csv: No such file or directory\n"


def test_bad_lines_are_left_out_on_request(
    receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.jsonl"
    row = {"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": [1]}
    path.write_text(f"{json.dumps(row)}\n{{}}\n\n{json.dumps(row)}\n{{\n")

    assert main([str(path), "--skip-bad"]) == 0

    assert len(receiver.calls) == 2
    assert "2 bad left out, the first: line 2:" in capsys.readouterr().err
