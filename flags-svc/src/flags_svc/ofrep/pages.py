"""One environment's answers, each written once: a flag gives few different ones."""

from __future__ import annotations

from collections.abc import Iterator

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

    def counted(self, also: int) -> Iterator[tuple[str, str | None, int]]:
        """Yield how often the flag gave which variant since the last time; the fixed one ``also`` so often."""
        if self.fixed is not None:
            self.fixed.count += also
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


class Pages:
    """The answers of one environment's flags at one revision."""

    def __init__(self, flags: CompiledSet, before: Pages | None = None) -> None:
        self.flags = flags
        known = {} if before is None else before._pages
        self._pages: dict[str, _Page] = {
            key: _page(compiled, known.get(key)) for key, compiled in sorted(flags.items())
        }
        self._varying = [page for page in self._pages.values() if page.always is None]
        self._always = b",".join(
            page.always for page in self._pages.values() if page.always is not None
        )
        self._runs = 0

    def one(self, key: str, asked: Asked) -> tuple[int, bytes] | None:
        """Return the status and the body for a flag, ``None`` if there is none of that key."""
        page = self._pages.get(key)
        return None if page is None else page.evaluate(asked)

    def all(self, asked: Asked) -> bytes:
        """Return the answers of all flags, those that vary with the context after those that do not."""
        self._runs += 1
        parts = [self._always] if self._always else []
        parts += [page.evaluate(asked)[1] for page in self._varying]
        return b",".join(parts)

    def counted(self) -> Iterator[tuple[str, str | None, int]]:
        """Yield flags, variants and how often they were given since the last time."""
        runs, self._runs = self._runs, 0
        for page in self._pages.values():
            yield from page.counted(runs)


def _page(compiled: CompiledFlag, known: _Page | None) -> _Page:
    # What a change does not concern has been compiled once, and so it is written once.
    return known if known is not None and known.compiled is compiled else _Page(compiled)
