"""The back-fill: what the demo does with a suite, from a look at it to the account."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event as Flag

from rich.console import Console

from loadgen.courier import IN_FLIGHT, Courier, P
from loadgen.demo.account import Account
from loadgen.demo.application import MODELS, Application
from loadgen.demo.options import Options
from loadgen.demo.reach import Question, how_far, too_long
from loadgen.demo.showing import commands
from loadgen.demo.slots import SLOT, History, Slot
from loadgen.demo.story import DAY, Chapters, Story, chapters
from loadgen.ingest import IngestClient, IngestError, Receipt
from loadgen.interruption import Interruption
from loadgen.prices import EMBEDDING_MODELS, PriceList, PricesError, Rates
from loadgen.report import Work, say, showing_progress

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_PATIENCE_SECONDS = 60.0


class TooLongError(Exception):
    """The suite does not take events that old; nothing has been stored."""


@dataclass(slots=True)
class Demo:
    """One back-fill of the days before ``end``, from a look at the suite to the account."""

    story: Story
    end: datetime
    options: Options
    api_key: str | None
    messages: Console
    interruption: Interruption = field(default_factory=Interruption)

    def run(self) -> int:
        """Send the history, print the account and return the exit status."""
        failure = account = None
        started = time.monotonic()
        with self.interruption:
            try:
                if self._is_taken():
                    account = self._account()
                    started = time.monotonic()
                    self._fill(account)
            except IngestError as error:
                failure = error
        if account is not None and account.slots:
            self._print(account, time.monotonic() - started)
        return self._conclude(account, failure)

    @property
    def _slots(self) -> int:
        return self.options.days * DAY // SLOT

    @property
    def _told(self) -> Chapters:
        return chapters(self.story, days=self.options.days, end=self.end)

    def _is_taken(self) -> bool:
        """Look whether the suite takes events that old; False only if stopped meanwhile."""
        answers: list[Receipt] = []

        def listen(_: Question, answer: Receipt) -> None:
            answers.append(answer)

        question = how_far(self.options.days, datetime.now(UTC))
        self._courier(listen).deliver([question], paced=False)
        for answer in answers:
            advice = too_long(answer, self.options.days)
            if advice is not None:
                raise TooLongError(advice)
        return bool(answers)

    def _account(self) -> Account:
        """Open the account at the suite's prices, after giving it those that it lacks."""
        prices = PriceList(self.options.endpoint, api_key=self.api_key)
        rates: dict[str, Rates | None] = {}
        try:
            added = prices.complete()
            if added:
                say(self.messages, f"gave {' and '.join(added)} a price, for the suite had none")
            rates = {model: prices.rates(model) for model in (*MODELS, *EMBEDDING_MODELS)}
        except PricesError as error:
            say(self.messages, f"demo: no prices, so costs are not counted here: {error}")
        return Account(rates)

    def _fill(self, account: Account) -> None:
        say(
            self.messages,
            f"{self.options.days} days until {self.end:%A %d %B, %H:%M} UTC"
            f" to {self.options.endpoint}",
        )
        history = History(self.story, self._told, Application())
        work = Work("demo", self._slots, "half hours")
        with showing_progress(self.messages, work) as advance:

            def confirm(slot: Slot, receipt: Receipt) -> None:
                account.add(slot, receipt)
                advance(1)

            begin = self.end - self.options.days * DAY
            self._courier(confirm).deliver(history.slots(begin, self.end), paced=False)

    def _courier(self, on_receipt: Callable[[P, Receipt], None]) -> Courier[P]:
        stopping = Flag()
        client = IngestClient(
            self.options.endpoint,
            api_key=self.api_key,
            connections=IN_FLIGHT,
            patience_seconds=_PATIENCE_SECONDS,
            stopping=stopping,
        )
        return Courier(
            client,
            stopping=stopping,
            interrupted=lambda: self.interruption.requested,
            on_receipt=on_receipt,
        )

    def _print(self, account: Account, seconds: float) -> None:
        answers = Console()
        for line in account.lines(seconds):
            say(answers, line)
        for line in commands(
            self.options.endpoint,
            self._told,
            now=datetime.now(UTC),
            needs_key=self.api_key is not None,
        ):
            say(answers, line)

    def _conclude(self, account: Account | None, failure: IngestError | None) -> int:
        missing = self._slots - (account.slots if account is not None else 0)
        if failure is not None:
            say(self.messages, f"demo: {failure}")
        if missing and account is not None and account.slots:
            say(self.messages, "demo: not all of it is there; the same command sends the rest")
        if failure is not None:
            return EXIT_FAILED
        if missing:
            return EXIT_INTERRUPTED
        return EXIT_FAILED if account is not None and account.refused else EXIT_OK
