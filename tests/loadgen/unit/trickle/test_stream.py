from loadgen.trickle.client import Outcome
from loadgen.trickle.requests import asks, read_material
from loadgen.trickle.stream import Trickle


def test_what_is_long_overdue_is_left_out_and_not_made_up_for() -> None:
    trickle = Trickle(
        asks=asks(1, read_material()),
        due=iter([-10.0, -6.0, 0.0]),
        send=lambda ask: Outcome("200", ok=True),
        say=lambda text: None,
        stopped=lambda: False,
    )

    assert trickle.run().line() == "1 sent, 1 answered, 0 failed, 2 left out"
