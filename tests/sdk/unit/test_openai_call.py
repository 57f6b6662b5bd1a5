"""What a call makes of chunks that few providers send, and of its end."""

import os

import windsock
from windsock.integrations._openai_call import ENDPOINTS, Call
from windsock.testing import Captured

USAGE = {"prompt_tokens": 12, "completion_tokens": 3}
TEXT = [{"delta": {"content": "Hello"}}]


def asked() -> Call:
    return Call(ENDPOINTS["/chat/completions"], "chat", None, "gpt-4o-mini")


def test_a_role_is_no_first_token(captured: Captured) -> None:
    call = asked()
    call.streamed({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
    call.finished()

    assert "time_to_first_token_ms" not in captured.events[0]["attributes"]


def test_a_stream_without_usage_tells_its_model(captured: Captured) -> None:
    call = asked()
    call.streamed({"model": "gpt-4o-mini-2024-07-18", "choices": TEXT})
    call.finished()

    assert captured.events[0]["model"] == "gpt-4o-mini-2024-07-18"


def test_text_that_comes_with_the_usage_is_not_kept_from_the_caller(captured: Captured) -> None:
    call = asked()
    call.hides_usage = True

    assert call.streamed({"choices": TEXT, "usage": USAGE})
    assert not call.streamed({"choices": [], "usage": USAGE})
    call.finished()
    assert captured.events[0]["input_tokens"] == 12


def test_a_forked_child_leaves_its_parent_s_calls_to_the_parent(captured: Captured) -> None:
    call = asked()

    child = os.fork()
    if child == 0:
        del call
        os._exit(windsock.get_metrics_collector().stats().buffered)
    _, status = os.waitpid(child, 0)
    del call

    assert os.waitstatus_to_exitcode(status) == 0
    assert captured.events[0]["attributes"] == {"tokens": "unknown"}
