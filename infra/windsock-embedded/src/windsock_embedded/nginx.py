"""The gateway: nginx with the templates of infra/gateway filled in."""

import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

from windsock_embedded import accounts, binaries
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.processes import Program

TEMPLATES = Path(__file__).parents[3] / "gateway"
_VARIABLE = re.compile(r"\$\{(WINDSOCK_[A-Z_]+)\}")


def program(
    data_dir: Path, *, ports: Mapping[str, int], logs: Path, environment: Mapping[str, str]
) -> Program:
    """Write the configuration and describe an nginx that serves it."""
    folder = data_dir / "nginx"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Started as root, nginx would give its workers to a user who may not read our folder.
    user = "user {} {};".format(*accounts.own_names()) if os.geteuid() == 0 else ""
    addresses = {
        f"WINDSOCK_{name.upper()}_ADDRESS": f"127.0.0.1:{port}" for name, port in ports.items()
    }
    values = {
        **addresses,
        "WINDSOCK_NGINX_DIR": str(folder),
        "WINDSOCK_NGINX_USER": user,
        "WINDSOCK_GATEWAY_LISTEN": f"127.0.0.1:{ports['gateway']}",
        "WINDSOCK_GATEWAY_ACCESS_LOG": f'"{logs / "gateway-access.log"}"',
    }
    for name in ("nginx.conf", "gateway.conf"):
        template = (TEMPLATES / f"{name}.template").read_text()
        (folder / name).write_text(fill_in(template, values))
    executable = binaries.find_nginx(environment.get("PATH", ""))
    return Program(
        name="gateway",
        argv=[
            str(executable),
            "-p",
            f"{folder}/",
            "-c",
            str(folder / "nginx.conf"),
            "-e",
            "stderr",
        ],
        log=logs / "gateway.log",
        environment={"PATH": environment.get("PATH", "")},
        cwd=folder,
        stop_signals=(signal.SIGQUIT, signal.SIGTERM),
    )


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Fill in ``${WINDSOCK_...}`` and leave nginx's own variables alone."""

    def value(match: re.Match[str]) -> str:
        try:
            return values[match[1]]
        except KeyError:
            raise EmbeddedError(f"the gateway's template names an unknown {match[0]}") from None

    return _VARIABLE.sub(value, template)
