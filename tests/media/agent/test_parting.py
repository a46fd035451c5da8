"""How long the line is held after our goodbye."""

from __future__ import annotations

from media.agent.alarm import Alarm
from media.agent.parting import CUT_GOODBYE_SECONDS, LAST_WORDS_SECONDS, MAX_REVIVALS, Parting
from tests.media.twins import Scene, with_options


def parting() -> tuple[Scene, Parting, list[float]]:
    scene = Scene(with_options())
    rung: list[float] = []
    clock = scene.session.clock
    return scene, Parting(Alarm(scene.session), clock, lambda: rung.append(clock.monotonic())), rung


def test_the_next_word_is_waited_for_and_no_longer() -> None:
    scene, ours, rung = parting()
    ours.hold()
    scene.run(CUT_GOODBYE_SECONDS - 0.1)
    assert not rung
    ours.hold_on()
    scene.run(CUT_GOODBYE_SECONDS - 0.1)
    assert not rung
    scene.run(0.2)
    assert len(rung) == 1


def test_words_do_not_hold_the_line_for_ever() -> None:
    scene, ours, rung = parting()
    began = scene.session.clock.monotonic()
    ours.hold()
    while not rung:
        scene.run(0.5)
        ours.hold_on()
    assert LAST_WORDS_SECONDS - 0.1 <= rung[0] - began <= LAST_WORDS_SECONDS + 1


def test_it_is_answered_a_number_of_times_and_never_when_we_cannot() -> None:
    _, ours, _ = parting()
    for _ in range(MAX_REVIVALS):
        assert ours.open
        ours.revive()
    assert not ours.open
    _, failed, _ = parting()
    failed.final = True
    assert not failed.open
