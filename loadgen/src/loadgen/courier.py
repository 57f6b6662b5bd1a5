"""Keeps a bounded number of batches under way and hands their receipts to one thread."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event as Flag
from time import monotonic, sleep
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from loadgen.ingest import IngestClient, Receipt, StoppedError

IN_FLIGHT = 4

_LOOK_UP_SECONDS = 0.1


class Parcel(Protocol):
    """A batch on its way; ``due_seconds`` counts from the start of the delivery."""

    @property
    def batch_id(self) -> UUID: ...
    @property
    def events(self) -> Sequence[object]: ...
    @property
    def due_seconds(self) -> float: ...


P = TypeVar("P", bound=Parcel)


class Courier(Generic[P]):
    """Delivers batches when they are due.

    ``interrupted`` is polled, and turns into ``stopping`` here: a signal handler may not
    set a ``threading.Event`` that its own thread might be holding.
    """

    def __init__(
        self,
        client: IngestClient,
        *,
        stopping: Flag,
        interrupted: Callable[[], bool],
        on_receipt: Callable[[P, Receipt], None],
    ) -> None:
        self._client = client
        self._stopping = stopping
        self._interrupted = interrupted
        self._on_receipt = on_receipt
        self._under_way: dict[Future[Receipt], P] = {}
        self._failure: BaseException | None = None

    def deliver(self, batches: Iterable[P], *, paced: bool) -> None:
        """Send all batches and return when every one has been answered.

        ``paced`` sends each when it is due, otherwise all go as fast as they are taken.
        After the first batch that cannot be delivered no other is started; those under
        way are finished, then its error is raised.
        """
        started = monotonic()
        with ThreadPoolExecutor(max_workers=IN_FLIGHT) as threads:
            for batch in batches:
                if paced:
                    self._wait_until(started + batch.due_seconds)
                while len(self._under_way) >= IN_FLIGHT and not self._must_stop():
                    self._collect()
                if self._must_stop():
                    break
                sent = threads.submit(self._client.send, batch.batch_id, batch.events)
                self._under_way[sent] = batch
            while self._under_way:
                self._must_stop()
                self._collect()
        if self._failure is not None:
            raise self._failure

    def _must_stop(self) -> bool:
        if self._interrupted() or self._failure is not None:
            self._stopping.set()
        return self._stopping.is_set()

    def _wait_until(self, due: float) -> None:
        while (remaining := due - monotonic()) > 0 and not self._must_stop():
            if self._under_way:
                self._collect(min(remaining, _LOOK_UP_SECONDS))
            else:
                sleep(min(remaining, _LOOK_UP_SECONDS))

    def _collect(self, timeout: float = _LOOK_UP_SECONDS) -> None:
        done, _ = wait(self._under_way, timeout, FIRST_COMPLETED)
        for future in done:
            batch = self._under_way.pop(future)
            error = future.exception()
            if error is None:
                self._on_receipt(batch, future.result())
            elif self._failure is None and not isinstance(error, StoppedError):
                self._failure = error
