"""What the README says of latencies, beside the catalogue."""

from __future__ import annotations

from llm_simulator.domain.catalogue import MODELS, Model
from llm_simulator.domain.latency import LOAD_SLOWDOWN
from tests.fixtures.servers import REPOSITORY
from tests.suite.documents import section, table_rows

TEXT = section(
    (REPOSITORY / "loadgen" / "target" / "llm-simulator" / "README.md").read_text(),
    "How long an answer takes",
)


def row(name: str, model: Model) -> list[str]:
    pace = f"{model.token_ms:g} ms" if model.token_ms else ""
    return [
        name,
        f"{model.first_token_ms:g} ms",
        f"{model.sigma:g}",
        f"{model.prefill_ms_per_1k:g} ms",
        pace,
    ]


def test_latencies_of_the_models_are_those_of_the_catalogue() -> None:
    names = {
        model: model.name if model.kind == "chat" else "embeddings" for model in MODELS.values()
    }

    rows = {tuple(row(name, model)) for model, name in names.items()}

    assert {tuple(cells) for cells in table_rows(TEXT)} == rows
    assert f"1 + {LOAD_SLOWDOWN:g} · " in TEXT
