import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk.flag_service import flag_service, switch
from tests.sdk.receiver import Receiver
from windsock.settings import Settings, variable

README = Path(__file__).parents[3] / "libs" / "windsock" / "README.md"
MODEL = {
    "key": "model",
    "type": "string",
    "variants": {"large": "gpt-4o"},
    "fallthrough": {"variant": "large"},
}
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(WINDSOCK_\w+)` \| `(\w+)` \| (?:`(.*?)`)? ?\|", README.read_text(), re.MULTILINE
    )

    written = [(name, keyword, default) for name, keyword, default in rows]

    fields = dataclasses.fields(Settings)
    assert sorted(written) == sorted(
        (variable(field.name), field.name, spelled(field.default)) for field in fields
    )


def spelled(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_runs(block: str, receiver: Receiver) -> None:
    with flag_service(switch("new_prompt"), MODEL) as service:
        url = service.url if "ready(" in block else receiver.url
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.replace(Settings().endpoint, url)],
            env={**os.environ, "WINDSOCK_ENDPOINT": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    records = re.search(r"\.(record|track)_", block) is not None
    assert bool(receiver.events) == (records and "capture()" not in block)
