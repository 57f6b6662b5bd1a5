"""Plain text for prompts without a task."""

from __future__ import annotations

import re

from llm_simulator.domain.draw import Draws

_SENTENCES = (
    "The short answer is that it depends on what you want to keep simple.",
    "A small first version shows most of what there is to learn.",
    "Start with the part that is hardest to change later.",
    "Two things decide here: who uses it, and how often it changes.",
    "I would write down what must not go wrong and test that first.",
    "Most of the effort goes into the cases that nobody mentions at the beginning.",
    "Measure before and after, on the same machine and with the same data.",
    "If it has to be reversible, put it behind a switch and widen it in steps.",
    "Ask those who will run it at night what they need to see.",
    "There is a cheaper way, but it moves the work to somebody else.",
)
_TOPIC = re.compile(r"[^\W\d_][\w'-]{5,}")


def prose(draws: Draws, about: str, question: str) -> str:
    """Return three to five sentences about the longest words of ``question``."""
    topics = sorted(set(_TOPIC.findall(question[:2_000])), key=lambda word: (-len(word), word))
    sentences = draws.order(_SENTENCES, about, "prose")[: 3 + int(draws.uniform(about, "long") * 3)]
    if topics:
        sentences[0] = f"About {' and '.join(topics[:2])}: {sentences[0]}"
    return " ".join(sentences)
