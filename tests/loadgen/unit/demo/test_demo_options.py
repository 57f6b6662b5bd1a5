import pytest

from loadgen.demo.options import parse_options
from loadgen.settings import Settings


def test_without_arguments_it_is_two_weeks() -> None:
    options = parse_options([], Settings.from_env({"WINDSOCK_ENDPOINT": "http://windsock:80"}))

    assert (options.days, options.endpoint) == (14, "http://windsock:80")


@pytest.mark.parametrize("days", ["0", "31", "-1", "1.5", "many", "", "1000"])
def test_wrong_number_of_days_is_refused(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(["--days", days], Settings())

    assert caught.value.code == 2
    assert f"expected a whole number from 1 to 30, got {days!r}" in capsys.readouterr().err
