"""What the composition root hands to the routes."""

from __future__ import annotations

from typing import TypedDict

from llm_simulator.answers.composer import Composer
from llm_simulator.embedding.embedder import Embedder
from llm_simulator.instruments import Instruments
from llm_simulator.provider import Provider


class State(TypedDict):
    """Everything a handler may use, made once for each process."""

    provider: Provider
    composer: Composer
    embedder: Embedder
    instruments: Instruments
    max_body_bytes: int
