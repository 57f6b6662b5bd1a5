"""A toy application, measured with the SDK in all the ways that there are."""

from __future__ import annotations

import asyncio
import threading

import windsock

windsock.configure(default_provider="openai", default_model="gpt-4o-mini", environment="toy")
collector = windsock.get_metrics_collector()


@windsock.track_performance("retrieve")
def retrieve(number: int) -> None:
    if number % 4:
        collector.record_cache_event("retrieve", layer="l1", hit=True, saved_ms=5.0)
    else:
        collector.record_cache_event("retrieve", layer="l1", hit=False, miss_reason="cold")


@windsock.track_performance("answer")
async def answer(number: int) -> None:
    await asyncio.to_thread(retrieve, number)
    cached = 400 if number % 3 == 0 else 0
    collector.record_llm_cost("answer", 1000, 100, cached > 0, cached_input_tokens=cached)
    collector.record_quality(
        "answer", 6.0 + number % 3, refined=number % 2 == 0, accepted_first_pass=number % 4 == 0
    )


async def one_user(number: int) -> None:
    variant = "terse" if number % 2 else "long"
    with windsock.context(
        user_id=f"u-{number}",
        session_id="s-1",
        gap_priority="HIGH" if number % 2 else "LOW",
        flags={"prompt": variant},
    ):
        collector.record_exposure("prompt", variant, targeting_key=f"u-{number}")
        await answer(number)


async def all_users() -> None:
    await asyncio.gather(*(one_user(number) for number in range(12)))


def embed() -> None:
    for _ in range(5):
        collector.record_performance("embed", 20.0)
    collector.record_llm_cost("embed", 50, 0, model="a-model-of-our-own", provider="ourselves")


def parse(number: int) -> None:
    with windsock.track_performance("parse"):
        if number < 3:
            raise ValueError(f"no JSON in answer {number}")


def main() -> None:
    asyncio.run(all_users())
    threads = [threading.Thread(target=embed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    raised = 0
    for number in range(10):
        try:
            parse(number)
        except ValueError:
            raised += 1
    print(raised, windsock.flush(10.0), collector.stats().dropped)  # noqa: T201  for the test


if __name__ == "__main__":
    main()
