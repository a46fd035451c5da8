"""A real house attacked: at most one ring a call row, every task final, no word lost, nothing left behind.

About a quarter of an hour on two cores, much of it waiting for deadlines: attacks that do not disturb each other are struck one
after the other and judged together. `make soak` goes on with other seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import attacks, outages, talks
from tests.faults.house import House
from tests.faults.intruders import intrude
from tests.faults.postgresql import PostgreSQL
from tests.faults.verdict import settle
from tests.table import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEEDS = (1, 2, 3, 4)
KILLS = 52
"""For each seed: ten of the API, fourteen of each other role."""


@pytest.mark.timeout(1200)
def test_any_process_is_killed_at_any_moment(house: House) -> None:
    """Over two hundred kills, forty at least of each role; about four minutes."""
    struck = [attacks.kills(house, seed, blows=KILLS) for seed in SEEDS]
    record(*(settle(house, one) for one in struck))


def test_each_process_is_killed_at_each_step_of_a_call(house: House) -> None:
    struck = [attacks.steps(house, seed=1)]
    house.revive()
    struck.append(attacks.steps(house, seed=2, alone=False))
    record(*(settle(house, one) for one in struck))


def test_redis_and_postgresql_are_wiped_killed_away_full_and_in_conflict(
    house: House, postgresql: PostgreSQL | None
) -> None:
    struck = [outages.redis_outage(house, seed=1)]
    if postgresql is not None:
        struck.append(outages.postgresql_outage(house, postgresql, seed=1))
        struck.append(outages.postgresql_contention(house, postgresql, seed=1))
    record(*(settle(house, one) for one in struck))


def test_the_phone_system_misbehaves_while_tasks_are_stopped_and_posted_twice(house: House) -> None:
    struck = [attack(house, seed=1) for attack in (attacks.phone_system, attacks.stops, attacks.doubled_posts)]
    record(*(settle(house, one) for one in struck))


def test_media_is_killed_has_no_disk_and_hears_nobody_while_people_talk(house: House) -> None:
    struck = [attack(house, seed=1) for attack in (talks.stalled_speech, talks.media_killed, talks.disk_full)]
    record(*(settle(house, one) for one in struck))


def test_intruders(house: House) -> None:
    record(intrude(house, seed=1))


def test_a_house_on_sqlite(tmp_path: Path) -> None:
    """What starts with no settings at all: every write in one file, one worker, one media process."""
    with House(
        tmp_path / "house", f"sqlite:///{tmp_path / 'waihu.db'}", roles=("web", "worker1", "beat1", "media1")
    ) as house:
        struck = [
            attacks.kills(house, seed=1, roles=house.roles),
            outages.redis_outage(house, seed=1, away=5),
            attacks.stops(house, seed=1, races=8),
        ]
        for one in struck:
            one.attack = f"on SQLite: {one.attack}"
        record(*(settle(house, one) for one in struck))
