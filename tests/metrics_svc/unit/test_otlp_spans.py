from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from metrics_svc.domain.event import LlmCall, Performance, Quality, StoredEvent
from metrics_svc.otlp.spans import SpanExport, map_spans
from tests.metrics_svc.unit.otlp_messages import (
    NEWEST,
    OLDEST,
    SECOND,
    T0,
    T0_NS,
    event,
    mapped,
    span,
    trace_request,
)


def events(export: SpanExport) -> tuple[StoredEvent, ...]:
    (admitted,) = export.admitted
    return admitted.events


def performance(export: SpanExport) -> Performance:
    (found,) = (each for each in events(export) if isinstance(each, Performance))
    return found


def call(export: SpanExport) -> LlmCall:
    (found,) = (each for each in events(export) if isinstance(each, LlmCall))
    return found


def test_span_becomes_a_performance_event_at_its_end() -> None:
    export = mapped(span({"http.route": "/ask"}, name="GET /ask"), resource={"service.name": "web"})

    assert export.rejected == 0
    assert export.message == ""
    assert export.admitted[0].key == b"t" * 16 + b"s" * 8
    assert events(export) == (
        Performance(
            timestamp=T0,
            operation="GET /ask",
            duration_ms=2000.0,
            attributes={
                "trace_id": "74" * 16,
                "span_id": "73" * 8,
                "service.name": "web",
                "http.route": "/ask",
            },
        ),
    )


NEWEST_NAMES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 600,
    "gen_ai.usage.cache_write.input_tokens": 100,
    "gen_ai.usage.reasoning.output_tokens": 200,
}
MIDDLE_NAMES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 600,
    "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.reasoning.output_tokens": 200,
}
OPENINFERENCE_NAMES = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o-2024-08-06",
    "llm.token_count.prompt": 1000,
    "llm.token_count.completion": 300,
    "llm.token_count.prompt_details.cache_read": 600,
    "llm.token_count.prompt_details.cache_write": 100,
    "llm.token_count.completion_details.reasoning": 200,
}
OLDEST_NAMES = {
    "llm.request.type": "chat",
    "gen_ai.system": "OpenAI",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.prompt_tokens": 1000,
    "gen_ai.usage.completion_tokens": 300,
    "gen_ai.usage.cache_read_input_tokens": 600,
    "gen_ai.usage.cache_creation_input_tokens": 100,
    "gen_ai.usage.reasoning_tokens": 200,
}


@pytest.mark.parametrize(
    "names",
    [NEWEST_NAMES, MIDDLE_NAMES, OPENINFERENCE_NAMES, OLDEST_NAMES],
    ids=["newest", "1.37 to 1.44", "openinference", "1.36 and older"],
)
def test_every_generation_of_names_gives_the_same_call(names: dict[str, object]) -> None:
    found = call(mapped(span(names)))

    assert found.operation == "chat gpt-4o"
    assert (found.provider, found.model) == ("openai", "gpt-4o-2024-08-06")
    assert (found.input_tokens, found.output_tokens) == (1000, 300)
    assert (found.cached_input_tokens, found.cache_write_tokens) == (600, 100)
    assert found.reasoning_tokens == 200
    assert found.duration_ms == 2000.0
    assert found.attributes is not None
    assert found.attributes["token_convention"] == "total"


def test_call_has_a_performance_beside_it() -> None:
    export = mapped(span(NEWEST_NAMES))

    assert [type(each) for each in events(export)] == [Performance, LlmCall]
    assert performance(export).duration_ms == 2000.0


def test_newest_name_wins_where_two_generations_are_sent() -> None:
    both = {"gen_ai.usage.prompt_tokens": 7, "gen_ai.system": "azure"} | NEWEST_NAMES

    found = call(mapped(span(both)))

    assert (found.input_tokens, found.provider) == (1000, "openai")


@pytest.mark.parametrize(
    "values",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"},
        {"gen_ai.operation.name": "invoke_workflow"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
        {"gen_ai.operation.name": "fetch_response"},
        {"openinference.span.kind": "CHAIN"},
        {"openinference.span.kind": "AGENT"},
        {"llm.request.type": "rerank"},
        {"traceloop.span.kind": "workflow"},
        {"agent_name": "planner"},
    ],
    ids=lambda values: str(next(iter(values.values()))),
)
def test_span_that_wraps_calls_is_none_although_it_carries_their_tokens(
    values: dict[str, object],
) -> None:
    usage = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 5000,
    }

    export = mapped(span(values | usage))

    assert [type(each) for each in events(export)] == [Performance]
    assert (performance(export).attributes or {})["gen_ai.usage.input_tokens"] == 5000


@pytest.mark.parametrize(
    "values",
    [
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "m"},
        {"gen_ai.operation.name": "text_completion"},
        {
            "gen_ai.operation.name": "transcribe",
            "gen_ai.request.model": "m",
            "gen_ai.usage.input_tokens": 5,
        },
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "m"},
        {"llm.request.type": "completion"},
        {"gen_ai.system": "openai", "gen_ai.request.model": "m"},
        {"gen_ai.system": "openai", "gen_ai.usage.prompt_tokens": 5},
    ],
    ids="+".join,
)
def test_span_of_a_model_call_is_one(values: dict[str, object]) -> None:
    assert call(mapped(span(values))).provider in {None, "openai"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"gen_ai.operation.name": "guardrail", "gen_ai.request.model": "m"},
        {"gen_ai.system": "openai"},
    ],
    ids=["nothing", "unknown operation without tokens", "provider only"],
)
def test_span_that_says_too_little_is_no_call(values: dict[str, object]) -> None:
    assert len(events(mapped(span(values)))) == 1


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("az.ai.openai", "azure.ai.openai"),
        ("vertex_ai", "gcp.vertex_ai"),
        ("Anthropic", "anthropic"),
        ("mistralai", "mistral_ai"),
        ("own-cluster", "own-cluster"),
    ],
)
def test_provider_is_spelt_as_in_the_conventions(given: str, canonical: str) -> None:
    found = call(mapped(span({"gen_ai.system": given, "gen_ai.request.model": "m"})))

    assert found.provider == canonical


def test_origin_comes_from_the_span_and_else_from_the_resource() -> None:
    resource = {
        "deployment.environment": "staging",
        "windsock.gap_priority": "low",
        "windsock.flag.ranker": "old",
        "windsock.flag.theme": "dark",
    }
    values = {
        "windsock.operation": "answer",
        "windsock.gap_priority": "high",
        "enduser.id": "u-1",
        "gen_ai.conversation.id": "c-1",
        "windsock.flag.ranker": "new",
        "windsock.flag.beta": True,
    }

    found = performance(mapped(span(values), resource=resource))

    assert found.operation == "answer"
    assert (found.environment, found.gap_priority) == ("staging", "high")
    assert (found.user_id, found.session_id) == ("u-1", "c-1")
    assert found.flags == {"ranker": "new", "theme": "dark", "beta": "true"}


def test_flag_evaluations_among_span_events_become_flags() -> None:
    found = performance(
        mapped(
            span(
                events=[
                    event(
                        "feature_flag.evaluation",
                        {"feature_flag.key": "a", "feature_flag.result.variant": "on"},
                    ),
                    event("feature_flag", {"feature_flag.key": "b", "feature_flag.variant": "off"}),
                    event(
                        "feature_flag.evaluation",
                        {"feature_flag.key": "c", "feature_flag.result.value": False},
                    ),
                    event("feature_flag.evaluation", {"feature_flag.key": "unanswered"}),
                ]
            )
        )
    )

    assert found.flags == {"a": "on", "b": "off", "c": "false"}


def test_failed_span_tells_type_message_and_stack() -> None:
    failed = span(
        NEWEST_NAMES,
        status=Status(code=Status.STATUS_CODE_ERROR),
        events=[
            event(
                "exception",
                {
                    "exception.type": "RateLimitError",
                    "exception.message": "slow\0 down",
                    "exception.stacktrace": "x" * 5000 + "raise RateLimitError",
                },
            )
        ],
    )

    export = mapped(failed)

    for found in (performance(export), call(export)):
        assert found.status == "error"
        assert found.error_type == "RateLimitError"
        assert found.error_message == "slow down"
    context = performance(export).error_context or {}
    assert context["stacktrace"].endswith("raise RateLimitError")
    assert len(context["stacktrace"]) == 4000


def test_stated_error_wins_over_the_exception() -> None:
    failed = span(
        {"error.type": "timeout"},
        status=Status(code=Status.STATUS_CODE_ERROR, message="took too long"),
        events=[event("exception", {"exception.type": "E", "exception.message": "m"})],
    )

    found = performance(mapped(failed))

    assert (found.error_type, found.error_message) == ("timeout", "took too long")


def test_exception_of_a_span_that_did_not_fail_is_no_error() -> None:
    recovered = span(events=[event("exception", {"exception.type": "E"})])

    found = performance(mapped(recovered))

    assert (found.status, found.error_type, found.error_context) == ("ok", None, None)


CONTENT: dict[str, object] = {
    "gen_ai.input.messages": "SECRET",
    "gen_ai.output.messages": "SECRET",
    "gen_ai.system_instructions": "SECRET",
    "gen_ai.tool.definitions": "SECRET",
    "gen_ai.tool.call.arguments": "SECRET",
    "gen_ai.tool.call.result": "SECRET",
    "gen_ai.retrieval.documents": "SECRET",
    "gen_ai.retrieval.query.text": "SECRET",
    "gen_ai.memory.records": "SECRET",
    "gen_ai.prompt": "SECRET",
    "gen_ai.completion": "SECRET",
    "gen_ai.prompt.0.content": "SECRET",
    "llm.input_messages.0.message.content": "SECRET",
    "llm.prompts": ["SECRET"],
    "input.value": "SECRET",
    "output.value": "SECRET",
    "traceloop.entity.input": "SECRET",
    "ai.prompt.messages": "SECRET",
    "ai.toolCall.args": "SECRET",
    "ai.response.text": "SECRET",
    "tool_response": "SECRET",
    "all_messages_events": "SECRET",
    "http.request.header.authorization": "SECRET",
    "db.query.text": "SECRET",
    "url.full": "SECRET",
    "anything.else": "SECRET " * 50,
}


@pytest.mark.parametrize("kind", ["chat", "execute_tool"])
def test_no_content_is_stored(kind: str) -> None:
    export = mapped(span(CONTENT | {"gen_ai.operation.name": kind}))

    assert b"SECRET" not in msgspec.json.encode(events(export))


def test_attributes_worth_storing_are_kept() -> None:
    kept = {
        "gen_ai.response.id": "r-1",
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.prompt.name": "summarise",
        "gen_ai.agent.name": "planner",
        "gen_ai.usage.audio.input_tokens": 3,
        "openai.response.service_tier": "flex",
    }

    found = call(
        mapped(span(NEWEST_NAMES | kept | {"gen_ai.response.finish_reasons": ["stop", "length"]}))
    )

    assert found.attributes is not None
    assert kept.items() <= found.attributes.items()
    assert found.attributes["gen_ai.response.finish_reasons"] == "stop,length"
    assert found.attributes["gen_ai.request.model"] == "gpt-4o"


def test_evaluation_results_become_quality_events() -> None:
    judged = span(
        NEWEST_NAMES,
        events=[
            event(
                "gen_ai.evaluation.result",
                {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 8.5},
            ),
            event(
                "gen_ai.evaluation.result",
                {"gen_ai.evaluation.name": "label only", "gen_ai.evaluation.score.label": "pass"},
            ),
            event(
                "gen_ai.evaluation.result",
                {
                    "gen_ai.evaluation.name": "of one",
                    "gen_ai.evaluation.score.value": 1.0,
                    "windsock.evaluation.scale": 1,
                },
            ),
            event("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 85.0}),
        ],
    )

    export = mapped(judged)

    scores = [(each.evaluator, each.score) for each in events(export) if isinstance(each, Quality)]
    assert scores == [("relevance", 8.5), ("of one", 10.0)]
    assert export.rejected == 0
    assert (
        export.message
        == "stored with corrections: 1 evaluation scores left out, outside of 0 to 10"
    )


def test_scale_of_scores_may_stand_at_the_resource_as_text() -> None:
    judged = span(
        events=[event("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 0.5})]
    )

    export = mapped(judged, resource={"windsock.evaluation.scale": "1"})

    assert [each.score for each in events(export) if isinstance(each, Quality)] == [5.0]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (span(trace_id=b"short"), "without a valid trace id"),
        (span(trace_id=bytes(16)), "without a valid trace id"),
        (span(span_id=b""), "without a valid span id"),
        (span(span_id=bytes(8)), "without a valid span id"),
        (span(end_time_unix_nano=T0_NS - 3 * SECOND), "ended before they started"),
        (span(start_time_unix_nano=0, end_time_unix_nano=0), "ended too long ago"),
        (span(end_time_unix_nano=T0_NS + 301 * SECOND), "ended in the future"),
        (span(end_time_unix_nano=2**64 - 1), "ended in the future"),
        (span(start_time_unix_nano=1), "lasted longer than 7 days"),
    ],
    ids=[
        "short trace id",
        "zero trace id",
        "no span id",
        "zero span id",
        "reversed",
        "no times",
        "in the future",
        "greatest time",
        "too long",
    ],
)
def test_bad_span_is_refused_with_its_reason_and_the_good_one_kept(
    broken: Span, reason: str
) -> None:
    export = mapped(broken, span(span_id=b"g" * 8))

    assert len(export.admitted) == 1
    assert export.rejected == 1
    assert export.message == f"1 spans refused: 1 {reason}"


def test_span_twice_in_a_request_counts_once() -> None:
    export = mapped(span(), span(), span(span_id=b"other by"))

    assert len(export.admitted) == 2
    assert export.rejected == 0


def test_spans_come_in_parts_that_hold_each_once() -> None:
    spans = [span(span_id=bytes([number]) * 8) for number in (1, 2, 2, 3, 1, 4)]
    request = trace_request([*spans, span(trace_id=b"")])

    parts = list(map_spans(request, oldest=OLDEST, newest=NEWEST, size=2))

    keys = [admitted.key[-1] for part in parts for admitted in part.admitted]
    assert keys == [1, 2, 3, 4]
    assert len(parts) == 4
    whole = SpanExport()
    for part in parts:
        whole.note(part)
    assert whole.message == "1 spans refused: 1 without a valid trace id"


def test_empty_request_is_a_success() -> None:
    export = mapped()

    assert (export.admitted, export.rejected, export.message) == ([], 0, "")


def test_timestamp_is_exact_to_the_microsecond() -> None:
    end = datetime(2026, 11, 22, 11, 59, 59, 123457, tzinfo=UTC)

    found = performance(mapped(span(end_time_unix_nano=T0_NS - SECOND + 123_457_999)))

    assert found.timestamp == end
    assert found.timestamp is not None
    assert found.timestamp.utcoffset() == timedelta(0)


def test_hostile_text_and_numbers_are_brought_within_the_bounds_of_an_event() -> None:
    hostile: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "\0" * 500 + "m" * 500,
        "windsock.operation": "o\0" * 400,
        "windsock.gap_priority": "\0",
        "windsock.flag.": "x",
        "x" * 10_000: "y",
        "a\0b": 1,
        "nan": float("nan"),
        "raw": b"bytes",
        "deep": [[["x"]]],
        "gen_ai.usage.input_tokens": -5,
        "gen_ai.usage.output_tokens": 2**62,
    } | dict[str, object]({f"key{i}": "v\0" for i in range(1000)})

    export = mapped(span(hostile), span({}, name="\0", span_id=b"unnamed!"))

    assert export.rejected == 0
    for admitted in export.admitted:
        for each in admitted.events:
            encoded = msgspec.json.encode(each)
            assert b"\\u0000" not in encoded
            assert msgspec.json.decode(encoded, type=type(each)) == each
    assert export.admitted[1].events[0].operation == "unknown"
