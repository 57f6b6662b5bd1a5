"""The same spans, sent over OTLP and read where they ended: the events must be the same."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from metrics_svc.otlp import names as theirs
from metrics_svc.otlp.codec import Encoding, decode_traces
from metrics_svc.otlp.spans import map_spans
from metrics_svc.wire.batch import Limits, parse_batch
from windsock.integrations import _otel_names as ours
from windsock.integrations.opentelemetry import WindsockSpanProcessor
from windsock.testing import capture

Step = Callable[[Span], object]

RESOURCE: Mapping[str, AttributeValue] = {
    "service.name": "answers",
    "deployment.environment.name": "staging",
    "windsock.flag.tone": "terse",
    "tier": "gold",
}
CHAT: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.usage.reasoning.output_tokens": 10,
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "gen_ai.input.messages": "[a prompt]",
    "openai.response.service_tier": "default",
}
OLD: dict[str, AttributeValue] = {
    "gen_ai.system": "az.ai.openai",
    "llm.request.type": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.prompt_tokens": 120,
    "gen_ai.usage.completion_tokens": 30,
    "gen_ai.prompt.0.content": "a prompt",
}
OPENINFERENCE: dict[str, AttributeValue] = {
    "openinference.span.kind": "LLM",
    "llm.provider": "anthropic",
    "llm.model_name": "claude-sonnet-4",
    "llm.token_count.prompt": 120,
    "llm.token_count.completion": 30,
    "llm.token_count.prompt_details.cache_read": 64,
    "llm.cost.total": 0.00123,
}
RAW: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "anthropic",
    "gen_ai.request.model": "claude-sonnet-4",
    "gen_ai.usage.input_tokens": 20,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.usage.cache_read_input_tokens": 1000,
    "gen_ai.usage.cache_creation_input_tokens": 50,
}


def fail(span: Span) -> None:
    try:
        raise ValueError("the model said no" * 300)
    except ValueError as error:
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, "ValueError"))


def judged(**attributes: AttributeValue) -> Step:
    return lambda span: span.add_event("gen_ai.evaluation.result", dotted(attributes))


def dotted(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {name.replace("__", "."): value for name, value in attributes.items()}


def over_otlp(spans: tuple[ReadableSpan, ...]) -> list[dict[str, Any]]:
    request = decode_traces(encode_spans(spans).SerializeToString(), Encoding.PROTOBUF)
    now = datetime.now(UTC)
    parts = list(map_spans(request, oldest=now - timedelta(days=1), newest=now + timedelta(days=1)))
    return [
        msgspec.structs.asdict(event) | {"type": type(event).__name__}
        for part in parts
        for admitted in part.admitted
        for event in admitted.events
    ]


def as_the_service_reads(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = msgspec.json.encode({"batch_id": str(uuid.uuid4()), "events": events})
    limits = Limits(1_000, timedelta(days=1), timedelta(days=1))
    batch = parse_batch(body, limits, received=datetime.now(UTC))
    assert batch.rejected == []
    return [
        msgspec.structs.asdict(event) | {"type": type(event).__name__} for event in batch.events
    ]


def both_ways(
    name: str, attributes: Attributes, *steps: Step, resource: Attributes = None, scope: str = "app"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the events of a span: by OTLP, and by the processor."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource(RESOURCE if resource is None else resource), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(WindsockSpanProcessor())
    with capture() as captured:
        with provider.get_tracer(scope).start_as_current_span(name, attributes=attributes) as span:
            for step in steps:
                step(span)
        recorded = as_the_service_reads(captured.events)
        assert captured.stats().dropped == {}
    return over_otlp(exporter.get_finished_spans()), recorded


def assert_same(sent: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> None:
    for one, other in zip(sent, recorded, strict=True):
        apart = abs(one.pop("timestamp") - other.pop("timestamp"))
        assert apart <= timedelta(microseconds=1)
        # An event says so or leaves it out, which is the same.
        for empty in ("attributes", "flags"):
            one[empty], other[empty] = one[empty] or {}, other[empty] or {}
        assert one == other


SPANS: dict[str, tuple[Attributes, list[Step]]] = {
    "plain": ({"http.route": "/ask", "user.id": "u-1", "retries": 2, "cached": False}, []),
    "newest chat": (CHAT, []),
    "older chat": (OLD, []),
    "openinference": (OPENINFERENCE, []),
    "counters of a provider": (RAW, []),
    "stated convention": (RAW | {"windsock.token_convention": "total"}, []),
    "contradicting counts": (CHAT | {"gen_ai.usage.cache_read.input_tokens": 500}, []),
    "impossible count": (CHAT | {"gen_ai.usage.input_tokens": "many"}, []),
    "embeddings": (CHAT | {"gen_ai.operation.name": "embeddings"}, []),
    "agent": (CHAT | {"gen_ai.operation.name": "invoke_agent"}, []),
    "tool": ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}, []),
    "unknown operation": (CHAT | {"gen_ai.operation.name": "dream"}, []),
    "wrapper": ({"traceloop.span.kind": "workflow", "gen_ai.request.model": "m"}, []),
    "model alone": ({"gen_ai.request.model": "m"}, []),
    "failed": (CHAT, [fail]),
    "failed with type": ({"error.type": "timeout"}, [fail]),
    "exception that was handled": ({}, [lambda span: span.record_exception(ValueError("no"))]),
    "named operation": ({"windsock.operation": "answer", "windsock.gap_priority": "HIGH"}, []),
    "conversation": ({"gen_ai.conversation.id": "c-1", "enduser.id": "u-2"}, []),
    "environment": ({"windsock.environment": "test"}, []),
    "flags": (
        {"windsock.flag.model": "lite", "windsock.flag.on": True},
        [
            lambda span: span.add_event(
                "feature_flag.evaluation",
                {"feature_flag.key": "rag", "feature_flag.result.variant": "strict"},
            )
        ],
    ),
    "judged": (
        CHAT,
        [
            judged(gen_ai__evaluation__name="relevance", gen_ai__evaluation__score__value=7.5),
            judged(gen_ai__evaluation__score__value=0.8, windsock__evaluation__scale=1.0),
            judged(gen_ai__evaluation__score__value=70.0),
            judged(gen_ai__evaluation__name="no score"),
        ],
    ),
    "long name of an attribute": ({"x" * 300: "y", "z": "w" * 300}, []),
    "many attributes": ({f"a.{number}": number for number in range(60)} | CHAT, []),
    "odd values": ({"a": float("nan"), "b": "", "c": [], "d": [1, 2], "e": "x\0y"}, []),
}


@pytest.mark.parametrize("case", SPANS)
def test_a_span_becomes_the_same_events_both_ways(case: str) -> None:
    attributes, steps = SPANS[case]

    sent, recorded = both_ways(case, attributes, *steps)

    assert sent
    assert_same(sent, recorded)


@pytest.mark.parametrize("name", ["", "n" * 500], ids=["empty", "long"])
def test_a_span_s_name_is_bounded_alike(name: str) -> None:
    assert_same(*both_ways(name, {}))


def test_the_scope_decides_alike_how_counters_are_read() -> None:
    scope = "opentelemetry.instrumentation.anthropic"

    sent, recorded = both_ways("chat", RAW, scope=scope)

    assert sent[1]["attributes"]["token_convention"] == "exclusive"
    assert_same(sent, recorded)


def test_a_resource_is_read_alike() -> None:
    resource = {
        "service.name": "answers",
        "service.version": "2",
        "user.id": "u-9",
        "windsock.token_convention": "exclusive",
        "windsock.evaluation.scale": "5",
    }

    sent, recorded = both_ways(
        "chat", CHAT, judged(gen_ai__evaluation__score__value=4), resource=resource
    )

    assert [event["score"] for event in sent if "score" in event] == [8.0]
    assert_same(sent, recorded)


NAMES = sorted(
    {
        *ours.INFERENCE_MARKS,
        *ours.WRAPPER_MARKS,
        *ours.CACHE_READ_TOKENS,
        *ours.CACHE_WRITE_TOKENS,
        *ours.REASONING_TOKENS,
        *ours.COST,
        *(name for known in ours.ORIGIN.values() for name in known),
        ours.OPERATION,
        ours.TOKEN_CONVENTION,
        "error.type",
        "gen_ai.input.messages",
        "gen_ai.tool.call.result",
        "promptTemplate",
        "prompt.id",
        "windsock.flag.a",
        "plain",
    }
)
TEXTS = st.sampled_from(
    [
        *("anthropic", "total", "exclusive", "12", "0.5", "", *ours.INFERENCE_KINDS),
        *(*ours.INFERENCE_OPERATIONS, *ours.OTHER_OPERATIONS, *ours.PROVIDERS),
    ]
)
NUMBERS = st.integers(0, 2_000) | st.floats(-1, 2_000) | st.sampled_from([10**8, -1, 5.0])
VALUES = TEXTS | NUMBERS | st.booleans() | st.text(max_size=5, alphabet="aZ é\0")
ATTRIBUTES = st.dictionaries(
    st.sampled_from(NAMES), VALUES | st.lists(TEXTS, max_size=3), max_size=12
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(attributes=ATTRIBUTES, failed=st.booleans())
def test_any_attributes_become_the_same_events_both_ways(
    attributes: dict[str, AttributeValue], failed: bool
) -> None:
    sent, recorded = both_ways("any", attributes, *([fail] if failed else []))

    assert_same(sent, recorded)


@pytest.mark.parametrize(
    "name",
    [
        *("PROVIDER", "REQUEST_MODEL", "RESPONSE_MODEL", "INPUT_TOKENS", "OUTPUT_TOKENS", "COST"),
        *("CACHE_READ_TOKENS", "CACHE_WRITE_TOKENS", "REASONING_TOKENS", "PROVIDERS"),
        *("INFERENCE_OPERATIONS", "OTHER_OPERATIONS", "INFERENCE_MARKS", "WRAPPER_MARKS"),
        *("FLAG_EVENTS", "FLAG_VARIANT", "EVALUATION_EVENT", "EVALUATION_SCALE"),
    ],
)
def test_both_sides_know_the_same_names(name: str) -> None:
    assert getattr(ours, name) == getattr(theirs, name)


PARTS = """gen_ai llm openai prompt prompts id result metadata windsock flag user message
toolResult HTTPBody x role tokens"""


@settings(max_examples=300, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PARTS.split()), max_size=4).map(".".join))
def test_both_sides_decide_alike_what_is_kept(name: str) -> None:
    assert ours.verdict(name) == theirs.verdict(name)
