"""Flags and exposures by way of OpenFeature's SDK (the extra ``openfeature``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import (
    FlagEvaluationDetails,
    FlagResolutionDetails,
    FlagType,
    FlagValueType,
    Reason,
)
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import AbstractProvider, Metadata

from windsock.ambient import AMBIENT, saw
from windsock.collector import MetricsCollector
from windsock.fields import MAX_NAME, Cleaner
from windsock.flags.client import FeatureFlags
from windsock.flags.definition import BOOLEAN, OBJECT
from windsock.flags.evaluation import PROVIDER_NOT_READY, Evaluation
from windsock.flags.exposures import Exposures
from windsock.flags.source import CHANGED, ERROR, READY, STALE, Notice
from windsock.flags.versions import NoFlags, changed_keys
from windsock.process import collector, feature_flags

_Objects = Sequence[FlagValueType] | Mapping[str, FlagValueType]
# What the evaluation that runs has found, and for whom, until the hook takes it over.
_resolved: ContextVar[tuple[Evaluation, str | None, dict[str, Any]] | None] = ContextVar(
    "windsock_resolved", default=None
)


class WindsockProvider(AbstractProvider):
    """Answers with the flags of this process, or those of ``flags``.

    The targeting key is the user, every other attribute can be part of a condition. Its hook
    records exposures, as the client itself does: by splits, once for each user. Other flags are
    taken as they are: who sets the provider waits for ``ready_timeout_seconds`` at most.
    """

    def __init__(
        self, flags: FeatureFlags = feature_flags, *, ready_timeout_seconds: float = 5.0
    ) -> None:
        super().__init__()
        self._flags = flags
        self._timeout = ready_timeout_seconds
        self._unsubscribe = _nothing
        self._initialized = False
        self._hooks: list[Hook] = [_OwnExposures(flags)]

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait for flags; raises ``ProviderNotReadyError`` without any, and is ready once they come."""
        self._unsubscribe()
        self._unsubscribe = self._flags.subscribe(self._told)
        self._flags.ready(self._timeout)
        self._initialized = True
        # Asked once more, as what came in between was told to nobody.
        if isinstance(self._flags.version, NoFlags):
            raise ProviderNotReadyError(self._flags.status().problem)

    def shutdown(self) -> None:
        """Tell nothing any more; the flags are the process's and go on."""
        self._unsubscribe()
        self._unsubscribe = _nothing
        self._initialized = False

    def get_metadata(self) -> Metadata:
        return Metadata(name="windsock")

    def get_provider_hooks(self) -> list[Hook]:
        return self._hooks

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(flag_key, default_value, evaluation_context, BOOLEAN)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        return self._resolve(flag_key, default_value, evaluation_context, "string")

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        return self._resolve(flag_key, default_value, evaluation_context, "integer")

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        # A whole number is one without a fraction: the client takes it for such a default.
        found = self._resolve(flag_key, float(default_value), evaluation_context, None)
        found.value = float(found.value)
        return found

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: _Objects,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[_Objects]:
        return self._resolve(flag_key, default_value, evaluation_context, OBJECT)

    def _resolve(
        self,
        key: str,
        default: object,
        context: EvaluationContext | None,
        flag_type: str | None,
    ) -> FlagResolutionDetails[Any]:
        user = None if context is None else context.targeting_key
        attributes = {} if context is None else _plain(context.attributes)
        found = self._flags.resolve(key, user, attributes, default, flag_type)
        _resolved.set((found, user, attributes))
        return FlagResolutionDetails(
            found.value,
            None if found.error_code is None else ErrorCode(found.error_code),
            found.error_message,
            Reason(found.reason),
            found.variant,
            self._metadata(),
        )

    def _metadata(self) -> dict[str, bool | int | float | str]:
        version = self._flags.version
        if isinstance(version, NoFlags) or version.revision is None:
            return {}
        return {"epoch": version.epoch, "revision": version.revision}

    def _told(self, notice: Notice) -> None:
        # Before the end of ``initialize`` the SDK tells itself what comes of that.
        if not self._initialized:
            return
        details = ProviderEventDetails(message=notice.message or None)
        if notice.kind == READY:
            self.emit_provider_ready(details)
        elif notice.kind == STALE:
            self.emit_provider_stale(details)
        elif notice.kind == ERROR:
            details.error_code = ErrorCode(PROVIDER_NOT_READY)
            self.emit_provider_error(details)
        elif notice.kind == CHANGED and notice.before is not None:
            version = self._flags.version
            changed = [] if isinstance(version, NoFlags) else changed_keys(notice.before, version)
            if changed:
                details.flags_changed = changed
                self.emit_provider_configuration_changed(details)


class _OwnExposures(Hook):
    """Records what the provider has just found, for the user that it was found for."""

    def __init__(self, flags: FeatureFlags) -> None:
        self._flags = flags

    def after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,
    ) -> None:
        resolved = _resolved.get()
        if resolved is not None and resolved[0].flag_key == details.flag_key:
            self._flags.expose(*resolved)

    def finally_after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,
    ) -> None:
        _resolved.set(None)

    def supports_flag_value_type(self, flag_type: FlagType) -> bool:
        return True


class ExposureHook(Hook):
    """Records exposures of the flags of any other provider, once for each user and variant.

    Such are evaluations that end with the reason ``SPLIT``, or one of ``reasons``, and have a
    variant and a targeting key. The events of the block around carry the flag from then on.
    """

    def __init__(
        self,
        to: MetricsCollector = collector,
        *,
        reasons: frozenset[str] = frozenset([Reason.SPLIT.value]),
    ) -> None:
        self._collector = to
        self._reasons = reasons
        self._exposures = Exposures()

    def after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,
    ) -> None:
        user, variant = hook_context.evaluation_context.targeting_key, details.variant
        if not user or not variant or str(details.reason) not in self._reasons:
            return
        clean = Cleaner()
        user, flag = clean.text(user, MAX_NAME), clean.text(details.flag_key, MAX_NAME)
        variant = clean.text(variant, MAX_NAME)
        ambient = AMBIENT.get()
        if ambient is not None and self._collector.pipeline.settings.record_flags:
            saw(ambient, user, flag, variant)
        if self._exposures.is_first((user, (flag, variant))):
            self._collector.record_exposure(flag, variant, user)

    def supports_flag_value_type(self, flag_type: FlagType) -> bool:
        return True


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as JSON has them; only OpenFeature's have times of their own."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in attributes.items()
    }


def _nothing() -> None:
    return
