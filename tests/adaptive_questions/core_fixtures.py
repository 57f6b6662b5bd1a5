"""The workload against the real simulator, with a gate between them that a test controls."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptive_questions.domain.gap import Asker, Brief, Gap, Language, Priority
from adaptive_questions.domain.result import GapAnswer, GapFailure
from adaptive_questions.workflow.config import Config
from adaptive_questions.workflow.service import WorkflowQuestions, open_questions
from llm_simulator.app import create_app
from llm_simulator.settings import Settings
from windsock.testing import Captured, capture, flags
from windsock_kit.errors import UnavailableError
from windsock_kit.testing import serving

ASKER = Asker("user-1", "session-1")
BRIEF = Brief(
    {"name": "A. Candidate", "skills": ["Docker", "Bash"], "years": 4},
    {"title": "Platform engineer", "industry": "retail"},
    Language.ENGLISH,
)
FLAGS: Mapping[str, object] = {
    "use_prompt_cache_optimizer": True,
    "use_batch_generation": True,
    "dynamic_quality_thresholds": True,
    "parallel_rag_searches": True,
    "experimental_llm_model": "gemini-2.0-flash-exp",
    "experimental_embedding_model": "text-embedding-004",
    "experimental_rag_threshold": 0.7,
    "new_ui_dashboard": False,
    "advanced_quality_evaluation": False,
}
KUBERNETES = Gap("Kubernetes", Priority.HIGH)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the provider."""

    path: str
    body: Mapping[str, Any]

    @property
    def task(self) -> dict[str, Any]:
        """The task of a chat; empty for embeddings."""
        for message in self.body.get("messages", ()):
            if message["content"].startswith('{"task"'):
                found: dict[str, Any] = msgspec.json.decode(message["content"])
                return found
        return {}


Before = Callable[[Call], Awaitable[Response | None]]


@dataclass
class Gate:
    """Stands before the simulator: keeps the calls, and answers those that ``before`` answers."""

    app: ASGIApp
    calls: list[Call] = field(default_factory=list)
    before: Before | None = None
    most_at_once: Counter[str] = field(default_factory=Counter)
    _now: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it is answered here."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        call = Call(scope["path"], msgspec.json.decode(body))
        first = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return first.pop() if first else await receive()

        self.calls.append(call)
        self._now[call.path] += 1
        self.most_at_once[call.path] = max(self.most_at_once[call.path], self._now[call.path])
        is_over = False

        # A call is over before its end is sent: the next one may be here before this one returns.
        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._now[call.path] -= 1

        async def ending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                end()
            await send(message)

        try:
            answer = None if self.before is None else await self.before(call)
            await (self.app if answer is None else answer)(scope, again, ending)
        finally:
            end()


@dataclass(frozen=True, slots=True)
class Simulator:
    """A provider that waits for nothing, at ``url``."""

    url: str
    gate: Gate
    client: httpx.AsyncClient

    async def ledger(self) -> dict[str, Any]:
        """Return its books since the last ``new_ledger``."""
        return dict((await self.client.get("/ledger")).json())

    async def new_ledger(self) -> None:
        """Begin new books."""
        await self.client.delete("/ledger")

    async def faults(self, **faults: object) -> None:
        """Put faults in force."""
        (await self.client.put("/faults", json=faults)).raise_for_status()


@asynccontextmanager
async def simulated() -> AsyncGenerator[Simulator]:
    """Serve a simulator over real HTTP."""
    gate = Gate(create_app(Settings(time_scale=0)))
    # Reading the certificates that http does not need takes a tenth of a second.
    async with (
        serving(gate) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client,
    ):
        yield Simulator(url, gate, client)


@asynccontextmanager
async def opened(simulator: Simulator, **config: Any) -> AsyncGenerator[WorkflowQuestions]:
    """Open the workload on ``simulator`` and wait until its knowledge base is indexed."""
    at = Config(openai_base_url=f"{simulator.url}/v1", **config)
    async with open_questions(at) as questions:
        await until_ready(questions)
        yield questions


async def until_ready(questions: WorkflowQuestions) -> None:
    """Wait until ``questions`` say that they are ready."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await questions.ready()
            except UnavailableError:
                await asyncio.sleep(0.01)


@dataclass(slots=True)
class Workload:
    """The workload in operation, and what a test sees of it."""

    questions: WorkflowQuestions
    simulator: Simulator
    captured: Captured
    brief: Brief = BRIEF
    _briefs: int = 0

    async def begin(self) -> None:
        """Begin anew: nothing on the books, and a candidate whom no cache knows."""
        self._briefs += 1
        self.brief = replace(BRIEF, parsed_cv={**BRIEF.parsed_cv, "number": self._briefs})
        gate = self.simulator.gate
        gate.before = None
        gate.calls.clear()
        gate.most_at_once.clear()
        await self.simulator.new_ledger()
        self.captured.clear()

    async def results(self, *gaps: Gap, asker: Asker = ASKER) -> list[GapAnswer | GapFailure]:
        """Ask for ``gaps``."""
        return await self.questions.generate(gaps, self.brief, asker)

    async def answers(self, *gaps: Gap, asker: Asker = ASKER) -> list[GapAnswer]:
        """Return the answers to ``gaps``, none of which may fail."""
        return [answered(each) for each in await self.results(*gaps, asker=asker)]


def answered(result: GapAnswer | GapFailure) -> GapAnswer:
    """Return ``result``, which is no failure."""
    assert isinstance(result, GapAnswer), result
    return result


@asynccontextmanager
async def workload(
    given: Mapping[str, object] | None = None, **config: Any
) -> AsyncGenerator[Workload]:
    """Open a workload on a simulator of its own, under ``FLAGS`` changed by ``given``.

    Without an ``embedding_model`` that ``given`` names there is one only: one to index.
    """
    if "experimental_embedding_model" not in (given or {}):
        config.setdefault("embedding_model", "text-embedding-004")
    with capture() as captured, flags({**FLAGS, **(given or {})}):
        async with simulated() as simulator, opened(simulator, **config) as questions:
            it = Workload(questions, simulator, captured)
            assert captured.events
            await it.begin()
            yield it


@contextmanager
def refusing(simulator: Simulator, refuses: Callable[[Call], Response | None]) -> Any:
    """Let the gate answer what ``refuses`` answers, for the block."""

    async def before(call: Call) -> Response | None:
        return refuses(call)

    simulator.gate.before = before
    try:
        yield
    finally:
        simulator.gate.before = None


def refusal(status: int, message: str = "no", **headers: str) -> Response:
    """Return an error as OpenAI words one, which the client does not try again."""
    body = msgspec.json.encode({"error": {"message": message, "type": "test", "code": None}})
    extra = {"x-should-retry": "false", **{key.replace("_", "-"): v for key, v in headers.items()}}
    return Response(body, status, headers=extra, media_type="application/json")
