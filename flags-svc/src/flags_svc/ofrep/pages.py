"""One environment's answers, each written once: a flag gives few different ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from flags_svc.wire.ofrep import Asked, tell, tell_failure
from windsock.flags.evaluation import ERROR, CompiledFlag, CompiledSet, Evaluation


class _Answer:
    """One thing that a flag gives, and how often it did."""

    __slots__ = ("body", "count", "variant")

    def __init__(self, evaluation: Evaluation, flag_type: str) -> None:
        self.body = tell(evaluation, flag_type)
        self.variant = evaluation.variant
        self.count = 0


class _Page:
    """A flag's answers; ``always`` is the one that everybody gets, if there is one."""

    __slots__ = ("_answers", "always", "compiled", "fixed")

    def __init__(self, compiled: CompiledFlag) -> None:
        self.compiled = compiled
        self._answers: dict[tuple[str | None, str], _Answer] = {}
        self.fixed: _Answer | None = None
        self.always: bytes | None = None
        same = compiled.fixed
        if same is not None and same.reason == ERROR:
            self.always = tell_failure(same)
        elif same is not None:
            self.fixed = self._answer(same)
            self.always = self.fixed.body

    def evaluate(self, asked: Asked) -> tuple[int, bytes]:
        """Return the status and the body for one context."""
        answer = self.fixed
        if answer is None:
            evaluation = self.compiled.evaluate(asked.unit, asked.context)
            if evaluation.reason == ERROR:
                return 400, tell_failure(evaluation)
            answer = self._answer(evaluation)
        answer.count += 1
        return 200, answer.body

    def counted(self) -> Iterator[tuple[str, str | None, int]]:
        """Yield how often the flag gave which variant since the last time."""
        for answer in self._answers.values():
            if answer.count:
                yield self.compiled.flag.key, answer.variant, answer.count
                answer.count = 0

    def _answer(self, evaluation: Evaluation) -> _Answer:
        key = evaluation.variant, evaluation.reason
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = _Answer(evaluation, self.compiled.flag.type)
        return found


class _All:
    """All flags at once: what is the same for everybody stands together already."""

    def __init__(self, pages: Collection[_Page]) -> None:
        self._fixed = [page.fixed for page in pages if page.fixed is not None]
        self._varying = [page for page in pages if page.always is None]
        same = [page.always for page in pages if page.always is not None]
        self._always = [b",".join(same)] if same else []
        self._runs = 0

    def evaluate(self, asked: Asked) -> bytes:
        """Return the answers for one context."""
        self._runs += 1
        return b",".join(self._always + [page.evaluate(asked)[1] for page in self._varying])

    def count(self) -> None:
        """Add up what was not counted one by one."""
        runs, self._runs = self._runs, 0
        for answer in self._fixed:
            answer.count += runs


class Pages:
    """The answers of one environment's flags, written when they are first given.

    What a change does not concern has been compiled once, and so it is written once.
    """

    def __init__(self, flags: CompiledSet) -> None:
        self._flags = flags
        self._pages: dict[str, _Page] = {}
        self._all: _All | None = None
        self._counted: Counter[tuple[str, str | None]] = Counter()

    def use(self, flags: CompiledSet) -> None:
        """Answer from ``flags`` from now on."""
        if flags is not self._flags:
            self._flags = flags
            self._end_all()

    def one(self, key: str, asked: Asked) -> tuple[int, bytes] | None:
        """Return the status and the body for a flag, ``None`` if there is none of that key."""
        compiled = self._flags.get(key)
        return None if compiled is None else self._page(key, compiled).evaluate(asked)

    def all(self, asked: Asked) -> bytes:
        """Return the answers of all flags, those that vary with the context after those that do not."""
        if self._all is None:
            flags = self._flags
            self._all = _All([self._page(key, flags[key]) for key in sorted(flags)])
        return self._all.evaluate(asked)

    def counted(self) -> Counter[tuple[str, str | None]]:
        """Take how often which flag gave which variant since the last time."""
        if self._all is not None:
            self._all.count()
        for key, page in list(self._pages.items()):
            self._count(page)
            if key not in self._flags:
                del self._pages[key]
        taken, self._counted = self._counted, Counter()
        return taken

    def _page(self, key: str, compiled: CompiledFlag) -> _Page:
        page = self._pages.get(key)
        if page is not None and page.compiled is compiled:
            return page
        if page is not None:
            self._count(page)
        made = self._pages[key] = _Page(compiled)
        return made

    def _end_all(self) -> None:
        if self._all is not None:
            self._all.count()
            self._all = None

    def _count(self, page: _Page) -> None:
        for key, variant, count in page.counted():
            self._counted[key, variant] += count
