"""What the launcher runs beside the servers, as data: commands, ports, and what each is told."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """A program to run.

    ``environment`` is the launcher's decision, ``defaults`` give way to the user's own variables.
    Both, and ``command`` behind its first word, may name ``{database_url}``, ``{redis_url}``,
    ``{probes}``, ``{data_dir}``, its own ``{port}`` and any part's, as in ``{gateway_port}``.

    Without a ``port`` it is a worker: nobody can ask whether it is ready, and it starts last.
    ``probed`` is the path by which metrics-svc watches it. A ``demo`` part may fail at its start
    without ending that of the others. ``schema`` is its schema and role in PostgreSQL, ``package``
    holds its ``migrations``.
    """

    name: str
    command: Sequence[str]
    port: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    probed: str | None = None
    demo: bool = False
    schema: str | None = None
    package: str | None = None

    def migrations(self) -> Path | None:
        """Locate the migrations without importing the service."""
        spec = importlib.util.find_spec(self.package) if self.package else None
        if spec is None or spec.origin is None:
            return None
        return Path(spec.origin).parent / "migrations"

    def argv(self, facts: Mapping[str, object]) -> list[str]:
        program, *arguments = self.command
        return [program, *(text.format_map(facts) for text in arguments)]

    def variables(
        self, facts: Mapping[str, object], inherited: Mapping[str, str]
    ) -> dict[str, str]:
        return {
            **{name: text.format_map(facts) for name, text in self.defaults.items()},
            **inherited,
            **{name: text.format_map(facts) for name, text in self.environment.items()},
        }


METRICS = Service(
    name="metrics-svc",
    command=(sys.executable, "-m", "metrics_svc"),
    port="metrics",
    schema="metrics",
    package="metrics_svc",
    environment={
        "METRICS_DATABASE_URL": "{database_url}",
        # Where it tells alerts-svc that there is something new to look at.
        "METRICS_REDIS_URL": "{redis_url}",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "{port}",
    },
    defaults={
        "METRICS_PROBES": "redis={redis_url}{probes}",
        "METRICS_LOG_FORMAT": "json",
        # 31 days: ./task demo brings a past with it.
        "METRICS_MAX_EVENT_AGE_SECONDS": "2678400",
        "WINDSOCK_AUTH": "off",
    },
)

ALERTS = Service(
    name="alerts-svc",
    command=(sys.executable, "-m", "alerts_svc"),
    port="alerts",
    schema="alerts",
    package="alerts_svc",
    environment={
        "ALERTS_DATABASE_URL": "{database_url}",
        "ALERTS_REDIS_URL": "{redis_url}",
        "ALERTS_METRICS_URL": "http://127.0.0.1:{metrics_port}",
        "ALERTS_STATE_DIR": "{data_dir}/alerts",
        "ALERTS_HOST": "127.0.0.1",
        "ALERTS_PORT": "{port}",
    },
    defaults={
        # Messages carry links; another name than this host's is the user's to say.
        "ALERTS_EXTERNAL_URL": "http://127.0.0.1:{gateway_port}",
        "ALERTS_LOG_FORMAT": "json",
        "WINDSOCK_AUTH": "off",
    },
)

FLAGS = Service(
    name="flags-svc",
    command=(sys.executable, "-m", "flags_svc"),
    port="flags",
    schema="flags",
    package="flags_svc",
    environment={
        "FLAGS_DATABASE_URL": "{database_url}",
        "FLAGS_REDIS_URL": "{redis_url}",
        # On-call reads of each change in the messages of what goes wrong after it.
        "FLAGS_ALERTS_URL": "http://127.0.0.1:{alerts_port}",
        "FLAGS_STATE_DIR": "{data_dir}/flags",
        "FLAGS_HOST": "127.0.0.1",
        "FLAGS_PORT": "{port}",
    },
    defaults={"FLAGS_LOG_FORMAT": "json", "WINDSOCK_AUTH": "off"},
)

SIMULATOR = Service(
    name="llm-simulator",
    command=(sys.executable, "-m", "llm_simulator"),
    port="simulator",
    probed="/livez",
    demo=True,
    environment={"SIMULATOR_HOST": "127.0.0.1", "SIMULATOR_PORT": "{port}"},
    defaults={"SIMULATOR_LOG_FORMAT": "json", "WINDSOCK_AUTH": "off"},
)

WORKLOAD = Service(
    name="adaptive-questions",
    command=(sys.executable, "-m", "adaptive_questions"),
    port="workload",
    probed="/livez",
    demo=True,
    environment={
        "QUESTIONS_HOST": "127.0.0.1",
        "QUESTIONS_PORT": "{port}",
        # A key in the user's shell must not make the demo call a provider that charges for it,
        # nor an endpoint there take the demo's events, nor the demo send what another
        # application has spooled.
        "OPENAI_BASE_URL": "http://127.0.0.1:{simulator_port}/v1",
        "OPENAI_API_KEY": "simulated",
        "WINDSOCK_ENDPOINT": "http://127.0.0.1:{gateway_port}",
        "WINDSOCK_API_KEY": "",
        "WINDSOCK_SPOOL_DIR": "",
        # LangSmith asks for them in this order; nothing of the demo is traced to a third party.
        "LANGSMITH_TRACING_V2": "false",
        "LANGCHAIN_TRACING_V2": "false",
        "LANGSMITH_TRACING": "false",
        "LANGCHAIN_TRACING": "false",
        # The simulator is not behind the user's proxy, and some proxies need a package to name one.
        "NO_PROXY": "*",
        "no_proxy": "*",
    },
    defaults={
        "QUESTIONS_REDIS_URL": "redis://127.0.0.1:{redis_port}/1",
        "QUESTIONS_LOG_FORMAT": "json",
        "WINDSOCK_FLAGS_SOURCE": "service",
        "WINDSOCK_FLAGS_BACKUP_FILE": "{data_dir}/adaptive-questions/flags.json",
        "WINDSOCK_AUTH": "off",
    },
)

TRICKLE = Service(
    name="trickle",
    command=(
        *(sys.executable, "-m", "loadgen.trickle"),
        *("--endpoint", "http://127.0.0.1:{gateway_port}"),
    ),
    demo=True,
    # The suite asks for none, and a real one is no business of the demo's.
    environment={"WINDSOCK_API_KEY": ""},
)

# In the order of their start.
SERVICES = (METRICS, ALERTS, FLAGS, SIMULATOR, WORKLOAD, TRICKLE)
