"""What a newcomer is told when the stack is up: where everything is, and what to try."""

from collections.abc import Sequence

from windsock_embedded import postgres, redis
from windsock_embedded.folder import Folder
from windsock_embedded.progress import NAME_WIDTH
from windsock_embedded.services import Service
from windsock_embedded.settings import DEFAULT_PORTS, Settings

_ASKED = (
    '{"gap": {"skill": "Kubernetes", "priority": "HIGH"},'
    ' "parsed_cv": {"skills": ["Docker"]}, "parsed_jd": {"title": "Platform engineer"}}'
)


def addresses(settings: Settings, services: Sequence[Service], folder: Folder) -> list[str]:
    """Return a line for each address."""
    number = settings.ports
    gateway = _gateway(settings)
    database = (
        f"postgresql://{postgres.SUPERUSER}@127.0.0.1:{number['postgres']}/{postgres.DATABASE}"
    )
    return _table(
        ("gateway", gateway),
        *((s.name, f"http://127.0.0.1:{number[s.port]}") for s in services if s.port),
        ("postgres", f"{database}  (password in {folder.path / 'postgres.password'})"),
        ("redis", redis.url(number["redis"])),
        ("logs", str(folder.logs)),
        ("dashboard", f"curl '{gateway}/api/metrics/dashboard?time_window_minutes=60'"),
        (
            "alerts",
            f"curl {gateway}/api/alerts  (and what people are told: {folder.log('alerts-svc')})",
        ),
        ("flags", f"curl {gateway}/api/feature-flags  (how to change one: docs/flags.md)"),
    )


def demo(settings: Settings, services: Sequence[Service]) -> list[str]:
    """Return the lines that say what the demo is; none without one."""
    if not any(service.demo for service in services):
        return []
    gateway = _gateway(settings)
    questions = f"{gateway}/api/adaptive-questions"
    # ./task demo takes the default where it is not told.
    usual = settings.ports["gateway"] == DEFAULT_PORTS["gateway"]
    endpoint = "" if usual else f" --endpoint {gateway}"
    asked = f"curl {questions}/generate -H 'Content-Type: application/json' -d '{_ASKED}'"
    return [
        "A demo runs: an application that asks a simulated model for interview questions.",
        *_table(
            ("its API", f"{questions}/docs"),
            ("a question", asked),
            ("two weeks of past", f"./task demo -- --days 14{endpoint}"),
            ("without it", "./task up -- --no-demo"),
        ),
    ]


def _gateway(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.ports['gateway']}"


def _table(*rows: tuple[str, str]) -> list[str]:
    return [f"  {name:<{NAME_WIDTH}} {text}" for name, text in rows]
