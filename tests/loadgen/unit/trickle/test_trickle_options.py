import pytest

from loadgen.settings import Settings
from loadgen.trickle.options import parse_options


def test_without_arguments_it_is_gentle_and_endless() -> None:
    options = parse_options([], Settings.from_env({"WINDSOCK_ENDPOINT": "http://windsock:80"}))

    assert options.endpoint == "http://windsock:80"
    assert options.rate == 20
    assert options.duration is None
    assert options.requests is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0"], "expected a number above 0, got '0'"),
        (["--duration", "-1"], "expected a number above 0"),
        (["--requests", "1.5"], "expected a whole number above 0"),
        (["--endpoint", "localhost"], "expected an address such as http://"),
        (["more"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_refused_with_what_was_expected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(arguments, Settings())

    assert caught.value.code == 2
    assert message in capsys.readouterr().err
