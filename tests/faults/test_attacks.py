"""A real house attacked: at most one ring a call row, every task final, no word lost, nothing left behind.

About eight minutes on two cores, most of it waiting for deadlines. `make soak` goes on with other seeds.
"""

from __future__ import annotations

import pytest

from tests.faults import attacks
from tests.faults.conftest import record
from tests.faults.house import House
from tests.faults.intruders import intrude
from tests.faults.postgresql import PostgreSQL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


def test_any_process_is_killed_at_any_moment(house: House) -> None:
    record(attacks.kills(house, seed=1))


def test_the_worker_is_killed_at_each_step_of_a_call(house: House) -> None:
    record(attacks.steps(house, seed=1))


def test_redis_is_wiped_killed_and_away(house: House) -> None:
    record(attacks.redis_outage(house, seed=1))


def test_postgresql_is_restarted_and_away(house: House, postgresql: PostgreSQL) -> None:
    record(attacks.postgresql_outage(house, postgresql, seed=1))


def test_the_phone_system_misbehaves(house: House) -> None:
    record(attacks.phone_system(house, seed=1))


def test_tasks_are_stopped_while_they_are_dialled(house: House) -> None:
    record(attacks.stops(house, seed=1))


def test_batches_are_posted_twice_at_once(house: House) -> None:
    record(attacks.doubled_posts(house, seed=1))


def test_media_is_killed_while_people_talk(house: House) -> None:
    record(attacks.media_killed(house, seed=1))


def test_media_is_told_to_leave_while_people_talk(house: House) -> None:
    record(attacks.media_drained(house, seed=1))


def test_intruders(house: House) -> None:
    record(intrude(house, seed=1))
