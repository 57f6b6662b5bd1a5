"""Ledger, faults and parameters on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from llm_simulator import tokens
from llm_simulator.answers import interview, judge
from llm_simulator.domain import latency, prompt_cache
from llm_simulator.domain.catalogue import MODELS, Model
from llm_simulator.domain.fault import Faults
from llm_simulator.domain.ledger import Ledger
from llm_simulator.version import VERSION
from windsock_kit.errors import BadRequestError, InvalidError

_Share = Annotated[float, Meta(ge=0, le=1)]


class FaultsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    error_rate: _Share = 0.0
    error_status: Annotated[int, Meta(ge=400, le=599)] = 500
    slow_first_token_factor: Annotated[float, Meta(ge=1, le=1000)] = 1.0
    cut_stream_rate: _Share = 0.0
    quality_drop: _Share = 0.0
    outage: bool = False
    for_seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None


_decoder = msgspec.json.Decoder(FaultsBody)
FAULT_FIELDS = FaultsBody.__struct_fields__


def parse_faults(body: bytes) -> tuple[Faults, float | None]:
    """Decode faults and for how many seconds they hold."""
    try:
        found = _decoder.decode(body)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        path = place.removesuffix("`") or None
        if "unknown field" in reason:
            raise InvalidError(reason, path=reason.split("`")[1], allowed=FAULT_FIELDS) from None
        raise InvalidError(reason, path=path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    given = {field.name: getattr(found, field.name) for field in fields(Faults)}
    return Faults(**given), found.for_seconds


def faults(current: Faults, remaining_seconds: float | None) -> dict[str, Any]:
    """Return the faults in force."""
    return asdict(current) | {"remaining_seconds": remaining_seconds}


def ledger(book: Ledger, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the books."""
    return {
        "since": book.since,
        **asdict(book.total()),
        "unique_keys": book.unique_keys,
        "duplicate_calls": book.duplicates,
        "saturated": book.saturated,
        "errors": {str(status): count for status, count in sorted(book.errors.items())},
        "models": [
            {"model": model.name, "kind": model.kind, **asdict(account)}
            for model, account in sorted(book.whole.items(), key=lambda item: item[0].name)
        ],
        "cut": asdict(book.cut),
        "parameters": parameters,
    }


def parameters(terms: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that decides what the simulator answers."""
    return {
        "version": VERSION,
        "tokenizer": tokens.NAME,
        **terms,
        "load_slowdown": latency.LOAD_SLOWDOWN,
        "craft": {
            "of_whole_context": interview.CONTEXT_CRAFT,
            "of_refining": interview.REFINING_CRAFT,
        },
        "judge": {
            "base": judge.BASE,
            "named": judge.NAMED,
            "points": judge.POINTS,
            "features": judge.WEIGHTS,
            "noise": judge.NOISE,
            "advanced_noise": judge.ADVANCED_NOISE,
            "advanced_strictness": judge.ADVANCED_STRICTNESS,
        },
        "prompt_cache": {
            "min_tokens": prompt_cache.MIN_TOKENS,
            "step_tokens": prompt_cache.STEP_TOKENS,
            "ttl_seconds": prompt_cache.TTL_SECONDS,
            "max_prefixes": prompt_cache.MAX_PREFIXES,
        },
        "models": [_model(model) for model in MODELS.values()],
        "faults": current,
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "model": model.name,
        "kind": model.kind,
        "usd_per_mtok": {
            "input": model.input_nanos / 1000,
            "cached_input": model.cached_nanos / 1000,
            "output": model.output_nanos / 1000,
        },
        "first_token_median_ms": model.first_token_ms,
        "first_token_sigma": model.sigma,
        "prefill_ms_per_1k_tokens": model.prefill_ms_per_1k,
        "ms_per_output_token": model.token_ms,
        "max_input_tokens": model.max_input_tokens,
        "max_output_tokens": model.max_output_tokens,
        "craft": model.craft,
        "aspects": model.aspects,
        "doubt": model.doubt,
    }
