"""The nine flags, evaluated once for each request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import windsock
from adaptive_questions.domain.choices import Choices
from adaptive_questions.domain.gap import Asker

FLAGS_FILE: Final = Path(__file__).with_name("flags.json")
"""The flags that are in force where no others are named."""

EMBEDDING_MODELS: Final = ("text-embedding-004", "text-embedding-005")

_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "stable_prefix": "use_prompt_cache_optimizer",
        "shared_calls": "use_batch_generation",
        "dynamic_thresholds": "dynamic_quality_thresholds",
        "parallel_searches": "parallel_rag_searches",
        "model": "experimental_llm_model",
        "embedding_model": "experimental_embedding_model",
        "rag_threshold": "experimental_rag_threshold",
        "cards": "new_ui_dashboard",
        "advanced_evaluation": "advanced_quality_evaluation",
    }
)


class Chooser:
    """Asks the flags what holds for a user. What is given here is not left to a flag."""

    def __init__(self, *, model: str | None, embedding_model: str | None) -> None:
        given = {"model": model, "embedding_model": embedding_model}
        self._given = {name: value for name, value in given.items() if value is not None}

    @property
    def embedding_models(self) -> tuple[str, ...]:
        """The models that texts may be embedded by."""
        given = self._given.get("embedding_model")
        return EMBEDDING_MODELS if given is None else (given,)

    def choose(self, asker: Asker) -> Choices:
        """Return what holds for ``asker``: a user, else a session, keeps the variants it got."""
        flags = windsock.get_feature_flags()
        unit = asker.user_id or asker.session_id
        values: dict[str, Any] = dict(self._given)
        variants: dict[str, str] = {}
        for name, key in _KEYS.items():
            if name in self._given:
                continue
            default = getattr(_DEFAULTS, name)
            found = flags.details(key, unit, default=default)
            values[name] = found.value
            if found.variant is not None:
                variants[key] = found.variant
        return Choices(**values, variants=variants)


_DEFAULTS: Final = Choices()
