"""An application that asks for its flags all the time, and writes down what it gets, a line for each news.

``APPLICATION_FILE`` is where to, ``APPLICATION_FLAGS`` what it asks for; all else is the SDK's own settings.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import windsock
from tests.faults.flags.checker import DEFAULT
from windsock.flags.client import FeatureFlags
from windsock.flags.versions import Version

PAUSE_SECONDS = 0.01
# What has not changed is said again now and then.
SAID_AGAIN_SECONDS = 0.25


def main() -> None:
    """Ask until told to stop."""
    flags = os.environ["APPLICATION_FLAGS"].split(",")
    client = windsock.get_feature_flags()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    last, said = None, 0.0
    with Path(os.environ["APPLICATION_FILE"]).open("a", buffering=1) as file:
        while True:
            found = _asked(client, flags)
            now = time.monotonic()
            if found is not None and (found != last or now - said > SAID_AGAIN_SECONDS):
                last, said = found, now
                file.write(json.dumps({"at": now, **found}) + "\n")
            time.sleep(PAUSE_SECONDS)


def _asked(client: FeatureFlags, flags: list[str]) -> dict[str, Any] | None:
    """Return what all flags give, ``None`` if there was a change meanwhile."""
    try:
        before = client.version
        values = {flag: client.value(flag, default=DEFAULT) for flag in flags}
        if client.version is not before:
            return None
        backup = client.status().backup
    except Exception as error:  # noqa: BLE001 - that there is none is what is tested
        return {"raised": repr(error)}
    if not isinstance(before, Version):
        return {"epoch": "", "revision": None, "values": values, "backup": backup}
    return {"epoch": before.epoch, "revision": before.revision, "values": values, "backup": backup}


if __name__ == "__main__":
    main()
