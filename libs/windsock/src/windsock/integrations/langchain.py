"""Records what LangChain and LangGraph run: models, nodes, tools and retrievers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from windsock.ambient import AMBIENT, OPERATION
from windsock.integrations._langchain_runs import Bounded, Run, unit_of
from windsock.integrations._recording import ModelCall, fault_of, quietly, usage_of_error
from windsock.integrations._usage import Usage, langchain_usage, openai_usage
from windsock.process import collector
from windsock.tracking import ends_normally

_MODEL_NAMES = ("model_name", "model", "model_id", "deployment_name")


class WindsockCallbackHandler(BaseCallbackHandler):
    """A callback handler for the ``callbacks`` of a config: ``{"callbacks": [handler]}``.

    One serves any number of runs at once, synchronous and asynchronous ones. It records

    - a ``llm_call`` for each run of a model, with its tokens, time to first token and error,
      and a look-up in the provider's prompt cache where the provider tells of one;
    - a ``performance`` for each run of a LangGraph node, a tool and a retriever, by its name.

    ``user_id``, ``session_id`` and ``gap_priority`` are those of the node's state, else of the
    config's ``metadata``. LangGraph's ``thread_id`` is the session if none is named.

    ``nodes=False`` leaves the nodes out: for a graph whose nodes ``track_node`` records.
    ``provider`` is the name to look prices up under, where LangChain's own is another, such as
    for a provider that is reached through OpenAI's client. An answer from LangChain's cache is
    no call of a model and is not recorded; nor is a call that is cancelled, unless it streams,
    since LangChain does not tell its end. The node around it is.
    """

    # In the context of what runs, and on its thread: nothing here waits.
    run_inline = True

    def __init__(self, *, nodes: bool = True, provider: str | None = None) -> None:
        super().__init__()
        self._nodes = nodes
        self._provider = provider
        self._runs: Bounded[Run] = Bounded()
        # By what LangGraph calls the namespace of a node's run: models and tools inside carry it.
        self._units: Bounded[dict[str, object]] = Bounded()

    @property
    def ignore_chain(self) -> bool:
        """Tell LangChain whether to call the ``on_chain_`` methods."""
        return not self._nodes

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a node's run; other chains, such as the sequence inside it, are left out."""
        metadata = metadata or {}
        node = metadata.get("langgraph_node")
        if node is None or kwargs.get("name") != node or not _is_task(tags):
            return
        with quietly("langchain"):
            key = metadata.get("langgraph_checkpoint_ns")
            run = Run(node, unit_of(inputs, metadata), key=key)
            self._units.put(key, run.unit)
            self._runs.put(run_id, run)

    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Record a node's run."""
        self._ended(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a node's run that failed, or was interrupted as it wanted."""
        self._ended(run_id, error)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a tool's run."""
        self._began(run_id, _name_of(serialized, kwargs, "tool"), metadata or {})

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a tool's run."""
        self._ended(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a tool's run that failed."""
        self._ended(run_id, error)

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a retriever's run."""
        self._began(run_id, _name_of(serialized, kwargs, "retriever"), metadata or {})

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a retriever's run."""
        self._ended(run_id)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a retriever's run that failed."""
        self._ended(run_id, error)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a call of a chat model."""
        self._asked(run_id, "chat", metadata or {}, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a call of a model that completes text."""
        self._asked(run_id, "completions", metadata or {}, kwargs)

    def on_llm_new_token(
        self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note when the first token came."""
        run = self._runs.get(run_id)
        if run is not None and run.first_token_ms is None:
            message = getattr(chunk, "message", None)
            if token or getattr(message, "tool_call_chunks", None):
                run.first_token_ms = run.elapsed_ms

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note when the first token came, in the newer kind of stream."""
        run = self._runs.get(run_id)
        if run is not None and run.first_token_ms is None:
            with quietly("langchain"):
                if event.get("event") == "content-block-delta":
                    run.first_token_ms = run.elapsed_ms

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a call of a model, unless a cache of LangChain answered."""
        self._answered(run_id, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a call of a model that failed, or whose reader stopped."""
        self._answered(run_id, kwargs.get("response"), error)

    def _began(self, run_id: UUID, operation: str, metadata: Mapping[str, Any]) -> None:
        with quietly("langchain"):
            self._runs.put(run_id, Run(operation, self._unit(metadata)))

    def _ended(self, run_id: UUID, error: BaseException | None = None) -> None:
        run = self._runs.pop(run_id)
        if run is None:
            return
        with quietly("langchain"):
            if run.key is not None:
                self._units.pop(run.key)
            elapsed = run.elapsed_ms
            if error is None or ends_normally(error):
                run.record(collector.record_performance, run.operation, elapsed, metadata=run.unit)
            else:
                run.record(
                    collector.record_error,
                    run.operation,
                    error,
                    duration_ms=elapsed,
                    metadata=run.unit,
                )

    def _asked(
        self, run_id: UUID, kind: str, metadata: Mapping[str, Any], kwargs: Mapping[str, Any]
    ) -> None:
        with quietly("langchain"):
            node, around = metadata.get("langgraph_node"), OPERATION.get()
            # The name under which the node itself is recorded comes first.
            named = (node or around) if self._nodes else (around or node)
            requested = _named(kwargs.get("invocation_params")) or metadata.get("ls_model_name")
            run = Run(
                named or kind,
                self._unit(metadata),
                provider=self._provider or metadata.get("ls_provider"),
                model=requested,
            )
            self._runs.put(run_id, run)

    def _unit(self, metadata: Mapping[str, Any]) -> dict[str, object]:
        unit = self._units.get(metadata.get("langgraph_checkpoint_ns"))
        if unit is not None:
            return unit
        told = unit_of(None, metadata)
        ambient = AMBIENT.get()
        if self._nodes or ambient is None:
            return told
        # What ``track_node`` has read of the state comes first, as it does for the node.
        return {name: value for name, value in told.items() if name not in ambient.names}

    def _answered(self, run_id: UUID, response: Any, error: BaseException | None = None) -> None:
        run = self._runs.pop(run_id)
        if run is None:
            return
        with quietly("langchain"):
            message = _message(response)
            reported = getattr(message, "usage_metadata", None)
            if isinstance(reported, Mapping) and reported.get("total_cost") == 0:
                return
            call = ModelCall(
                operation=run.operation,
                provider=run.provider,
                requested_model=run.model,
                duration_ms=run.elapsed_ms,
                model=_answering_model(message, response),
                usage=langchain_usage(reported)
                or _usage_of_output(response)
                or usage_of_error(error),
                fault=None if error is None else fault_of(error),
                first_token_ms=run.first_token_ms,
            )
            run.record(call.record, run.unit)


def _is_task(tags: list[str] | None) -> bool:
    return any(tag.startswith("graph:step:") for tag in tags or ())


def _name_of(serialized: Mapping[str, Any] | None, kwargs: Mapping[str, Any], kind: str) -> str:
    return str(kwargs.get("name") or (serialized or {}).get("name") or kind)


def _named(values: object) -> str | None:
    """Return the model that ``values`` name, as the integrations of LangChain call it in turn."""
    if not isinstance(values, Mapping):
        return None
    return next((str(values[name]) for name in _MODEL_NAMES if values.get(name)), None)


def _message(response: Any) -> Any:
    """Return the message of an answer. Where there are several, each carries the usage of all."""
    for generations in getattr(response, "generations", None) or ():
        for generation in generations:
            message = getattr(generation, "message", None)
            if message is not None:
                return message
    return None


def _answering_model(message: Any, response: Any) -> str | None:
    return _named(getattr(message, "response_metadata", None)) or _named(
        getattr(response, "llm_output", None)
    )


def _usage_of_output(response: Any) -> Usage | None:
    output = getattr(response, "llm_output", None)
    return openai_usage(output.get("token_usage")) if isinstance(output, Mapping) else None
