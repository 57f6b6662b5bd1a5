"""How often something may be done in a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from windsock_kit.errors import ServiceError


class TooManyRequestsError(ServiceError):
    """It was done often enough for now; ``Retry-After`` says when it may be done again."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"


class Pace:
    """Lets ``most`` through in any ``seconds``, for each name by itself and ``in_all`` together."""

    def __init__(
        self, most: int, in_all: int, seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._most = most
        self._in_all = in_all
        self._seconds = seconds
        self._monotonic = monotonic
        self._done: deque[tuple[float, str]] = deque()

    def pass_through(self, name: str) -> None:
        """Count one more; raises ``TooManyRequestsError`` instead when it would be one too many."""
        now = self._monotonic()
        while self._done and now - self._done[0][0] >= self._seconds:
            self._done.popleft()
        of_name = [at for at, done in self._done if done == name]
        for times, most in ((of_name, self._most), ([at for at, _ in self._done], self._in_all)):
            if len(times) >= most:
                raise TooManyRequestsError(
                    f"at most {most} in {self._seconds:g} seconds",
                    retry_after=times[-most] + self._seconds - now,
                )
        self._done.append((now, name))
