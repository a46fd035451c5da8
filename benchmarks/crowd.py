"""A table full of tasks as a house has them after a season: most of them over, some waiting, a few in a call."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

from shared.schema import calls, tasks
from shared.tallies import repair
from tests.workers.twins import CALLER, START_MS

NOW = START_MS
SEASON = 1_000_000
"""Tasks of ninety days: smaller tables hold the first of them, so that a day holds as many in each."""
DAY_MS = 24 * 3_600_000
LIVE = 200
"""Calls at a time, however large the table."""
FIRST_LIVE = 10**9
"""Batch ids from here on are those of live calls."""

# Of a thousand tasks 600 talked, 220 were called twice in vain, 40 refused, 10 lost, 30 ended without a call; 60 wait for
# a later day, 30 for their window, 10 are due. They came in batches of a thousand.
_MIX = """generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i,
    LATERAL (SELECT (i * 7919) % 1000 AS r) AS mix,
    LATERAL (SELECT CASE WHEN r < 600 THEN 'completed' WHEN r < 820 THEN 'not_connected' WHEN r < 860 THEN 'failed'
        WHEN r < 870 THEN 'unknown' WHEN r < 890 THEN 'stopped' WHEN r < 900 THEN 'expired'
        WHEN r < 960 THEN 'retry_wait' ELSE 'pending' END AS state,
        CAST(:began AS bigint) + i / 1000 * 1000 * CAST(:step AS bigint) AS made,
        '13' || lpad(((i * 7919) % 700001)::text, 9, '0') AS number) AS one"""
_TASKS = f"""INSERT INTO tasks (batch_id, ticket_no, phone, number, line, username, ticket_type, ticket_content, digest, state,
        state_at, created_at, due_at, expires_at, connected, final_at, attempts, caller, held_by)
    SELECT i, 'T' || i, number, number, '+86' || number, '张三', '回访' || i % 5, '尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。',
        decode('00000000000000000000000000000000', 'hex'), state, made + 90000, made,
        CASE WHEN r >= 990 THEN made WHEN r >= 960 THEN :now + 36000000 + i % 1000
            WHEN r >= 900 THEN :now + 60000 + i * 1000 % 172800000 END,
        CASE WHEN i % 10 = 0 THEN :now + 86400000 + i END, CASE WHEN r < 900 THEN r < 600 END,
        CASE WHEN r < 900 THEN made + 90000 END, CASE WHEN r < 820 THEN 1 + (r / 600) ELSE 0 END,
        CASE WHEN r < 960 THEN :caller END, CASE WHEN r BETWEEN 960 AND 989 THEN 'window' END FROM {_MIX}"""
_CALLS = f"""INSERT INTO calls (uuid, batch_id, call_type, state, call_id, caller, number, line, telephone, created_at, dialing_at,
        answered_at, ended_at, media_ended_at, cdr_at, closed_at, hangup_cause, time_len, wav_file, dialogue)
    SELECT lpad((i * 10 + n)::text, 19, '0'), i, '02',
        CASE WHEN r < 820 THEN 'ended' WHEN r < 860 THEN 'refused' ELSE 'lost' END,
        CASE WHEN r < 820 THEN 'call-' || i || '-' || n ELSE '' END, :caller, number, '+86' || number, number, made + n * 30000 + i % 1000,
        made + n * 30000 + i % 1000, CASE WHEN r < 600 THEN made + 40000 END, made + 80000, made + 80000, made + 81000,
        made + 81000, CASE WHEN r < 600 THEN 'NORMAL_CLEARING:sip:200' ELSE 'NO_ANSWER:sip:480' END,
        CASE WHEN r < 600 THEN 5 + i % 60 ELSE 0 END,
        CASE WHEN r < 600 THEN 'ai_call/2025/12/31/12/' || lpad((i * 10 + n)::text, 19, '0') || '.wav' ELSE '' END,
        CASE WHEN r < 600 THEN '[{{"role": "assistant", "content": "您好，请问是张三先生吗？"}}]'::jsonb ELSE '[]'::jsonb END
    FROM {_MIX}, generate_series(1, CASE WHEN r BETWEEN 600 AND 819 THEN 2 ELSE 1 END) AS n WHERE r < 870"""
_LIVE_TASKS = """INSERT INTO tasks (batch_id, ticket_no, phone, number, line, username, ticket_type, ticket_content, digest, state,
        state_at, created_at, connected, attempts, caller)
    SELECT :base + i, 'L' || i, '19' || :base + i, '19' || :base + i, '+8619' || :base + i, '李四', '回访', '内容', decode('00', 'hex'), 'in_call',
        :now - 30000, :now - 40000, true, 1, :caller FROM generate_series(1, CAST(:live AS bigint)) AS i"""
_LIVE_CALLS = """INSERT INTO calls (uuid, batch_id, call_type, state, call_id, caller, number, line, telephone, created_at,
        dialing_at, answered_at, deadline_at)
    SELECT lpad((:base + i)::text, 19, '9'), :base + i, '02', 'answered', 'live-' || i, :caller, '19' || :base + i,
        '+8619' || :base + i, '19' || :base + i, :now - 40000, :now - 40000, :now - 30000, :now + 3600000
    FROM generate_series(1, CAST(:live AS bigint)) AS i"""


def grow(engine: Engine, have: int, count: int) -> None:
    """Adds the tasks number ``have`` + 1 to ``count``, and the calls that were made for them. PostgreSQL only.

    Indexes are dropped and built again around it, and foreign keys are not looked up: both only save time.
    """
    # AUTOCOMMIT, or the statements' own time limit would hold for building an index too.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text("SET synchronous_commit = off"))
        indexes = [index for table in (tasks, calls) for index in table.indexes]
        for index in indexes:
            index.drop(connection)
        _insert(connection, have, count)
        repair(connection)  # the triggers that keep the tallies were off
        for index in indexes:
            index.create(connection)
        connection.execute(text("VACUUM (ANALYZE) tasks, calls"))
        connection.invalidate()


def _insert(connection: Connection, have: int, count: int) -> None:
    began, step = NOW - 91 * DAY_MS, 90 * DAY_MS // SEASON
    common = {"first": have + 1, "last": count, "began": began, "step": step, "caller": CALLER}
    connection.execute(text(_TASKS), common | {"now": NOW})
    connection.execute(text(_CALLS), common)
    if not have:
        live = {"base": FIRST_LIVE, "now": NOW, "live": LIVE, "caller": CALLER}
        connection.execute(text(_LIVE_TASKS), live)
        connection.execute(text(_LIVE_CALLS), live)


def newest(count: int) -> int:
    """When the newest batch of a table of ``count`` came in."""
    return NOW - 91 * DAY_MS + count // 1000 * 1000 * (90 * DAY_MS // SEASON)
