"""Why there is no question, as HTTP says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from adaptive_questions.domain.result import GapFailure, WorkloadError
from adaptive_questions.wire import answers
from windsock_kit.errors import ServiceError

# For whoever is told to come again, where the provider did not say when.
_RETRY_SECONDS = 2.0


class BusyError(ServiceError):
    """As many requests are at work as there may be."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "busy"


class DeadlineError(ServiceError):
    """The request was not answered in the time that it has."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "deadline_exceeded"


class ProviderLimitsError(ServiceError):
    """The provider takes no more calls for the moment."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "rate_limited"


class ProviderAwayError(ServiceError):
    """The provider cannot be connected to."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "provider_unreachable"


class ProviderLateError(ServiceError):
    """The provider did not answer in time."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "provider_timeout"


class ProviderFailedError(ServiceError):
    """The provider answered with an error, or broke off."""

    status = HTTPStatus.BAD_GATEWAY
    code = "provider_error"


class UselessAnswerError(ServiceError):
    """The model's answer is none of those that were asked for."""

    status = HTTPStatus.BAD_GATEWAY
    code = "bad_answer"


# Of several different failures the first of these is told: the sooner a request is worth sending again, the earlier.
FAILURES: Sequence[type[ServiceError]] = (
    ProviderLimitsError,
    ProviderAwayError,
    ProviderLateError,
    ProviderFailedError,
    UselessAnswerError,
)
_BY_CODE: Mapping[str, type[ServiceError]] = {failure.code: failure for failure in FAILURES}


def of_failure(failure: GapFailure | WorkloadError) -> ServiceError:
    """Return the problem of the only thing that was asked for."""
    return _problem(_BY_CODE[failure.code], failure.detail, failure.retry_after)


def of_failures(failures: Sequence[GapFailure]) -> ServiceError:
    """Return the problem of a batch without a single question; ``errors`` has every gap's failure."""
    worst = min(failures, key=lambda failure: FAILURES.index(_BY_CODE[failure.code]))
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    return _problem(
        _BY_CODE[worst.code],
        f"there is no question for any of the {len(failures)} gaps: {worst.detail}",
        max(waits, default=None),
        errors=[answers.failure(each) for each in failures],
    )


def _problem(
    kind: type[ServiceError], detail: str, retry_after: float | None, **extra: object
) -> ServiceError:
    if retry_after is None and kind.status is HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = _RETRY_SECONDS
    return kind(detail, retry_after=retry_after, extra=extra)
