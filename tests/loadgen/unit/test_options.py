import pytest

from loadgen.options import parse_options
from loadgen.settings import Settings


def test_file_alone_backfills_into_the_local_suite() -> None:
    options = parse_options(["trace.csv"], Settings.from_env({}))

    assert options.file == "trace.csv"
    assert options.speed is None
    assert options.endpoint == "http://127.0.0.1:8000"
    assert (options.provider, options.model) == ("openai", "gpt-4o-mini")


def test_endpoint_comes_from_the_environment_unless_given() -> None:
    settings = Settings.from_env({"WINDSOCK_ENDPOINT": "https://windsock.example"})

    assert parse_options(["x"], settings).endpoint == "https://windsock.example"
    assert parse_options(["x", "--endpoint", "http://h:1"], settings).endpoint == "http://h:1"


def test_api_key_is_never_shown() -> None:
    settings = Settings.from_env({"WINDSOCK_API_KEY": "wsk_secret"})

    assert settings.api_key == "wsk_secret"
    assert "wsk_secret" not in repr(settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE"),
        (["x", "--speed", "fast"], "expected max or a number above 0, got 'fast'"),
        (["x", "--speed", "0"], "expected max or a number above 0"),
        (["x", "--speed", "nan"], "expected max or a number above 0"),
        (["x", "--speed", "inf"], "expected max or a number above 0"),
        (["x", "--limit", "0"], "expected a whole number above 0"),
        (["x", "--limit", "1.5"], "expected a whole number above 0"),
        (["x", "--compress", "-1"], "expected a number above 0"),
        (["x", "--speed", "2", "--compress", "2"], "a live replay has --speed alone"),
        (["x", "--endpoint", "localhost:8000"], "expected an address such as http://"),
        (["x", "--endpoint", "http://[::1"], "expected an address such as http://"),
        (["x", "--operation", " "], "expected 1 to 200 characters"),
        (["x", "--api-key", "k"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_refused_with_status_2_and_what_was_expected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(arguments, Settings())

    assert caught.value.code == 2
    assert message in capsys.readouterr().err
