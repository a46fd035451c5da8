"""A real house to be attacked: every process of the Procfile, twice where that is allowed, on free ports of loopback.

The sandbox plays the phone system and is the witness: it counts how often each phone rang. What is killed is started
again at once, as a supervisor would; the witness and its report are never touched.
"""

from __future__ import annotations

import math
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx2
import redis
from sqlalchemy import Engine, func, make_url, select

from deploy import embedded, procfile
from deploy.readiness import ping_workers
from deploy.state import write_endpoints
from shared import bus
from shared.bus import open_redis
from shared.database import open_engine, reading, upgrade
from shared.lifecycle import FINAL_TASKS, LIVE_CALLS, CallState
from shared.schema import calls, tasks
from shared.settings import PREFIX, Settings, load
from tests.faults.words import Stretch

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = Path(__file__).with_name("scenario.yaml")
SKEWED = Path(__file__).with_name("skewed")
"""Holds what Python imports before all else, and sets a process's clock wrong."""
PLAYBOOKS = (ROOT / "playbooks", Path(__file__).with_name("playbooks"))
"""The product's, and those of attacks whose people need a robot that says little."""
KEY, SECRET = "house-under-attack-api-key", "house-under-attack-phone-secret"
DATABASE_PASSWORD, REDIS_PASSWORD = "house-under-attack-database-password", "house-under-attack-redis-password"
WEBHOOK_SECRET = "house-under-attack-webhook-secret"
SECRETS = {
    "API_KEYS": KEY,
    "PHONE_SECRET": SECRET,
    "ASR_KEY": "house-under-attack-asr-key",
    "TTS_KEY": "house-under-attack-tts-key",
    "LLM_KEY": "house-under-attack-llm-key",
    "DATABASE_URL": DATABASE_PASSWORD,
    "REDIS_URL": REDIS_PASSWORD,
    "a webhook": WEBHOOK_SECRET,
}
"""Looked for in every log afterwards: none may ever be written down (tests.faults.leaks). By the setting that has it."""
TICKET = {"username": "张三", "ticketContent": "本周六上午九点，会员日活动。"}
ROLES = ("web", "worker1", "worker2", "beat1", "beat2", "media1", "media2")
READY_WITHIN = 90.0
FINAL_WITHIN = 200.0
"""Above the sum of the longest deadlines: queued for 60 s, then unknown for ring time-out and grace (38 s), then a sweep."""
LOOK_AGAIN = 0.25
END_WITHIN = 20.0
SETTINGS = {
    **{name: SECRETS[name] for name in ("API_KEYS", "PHONE_SECRET", "ASR_KEY", "TTS_KEY", "LLM_KEY")},
    "ALLOW_STANDIN": "1",
    "CALLERS": "057128167421:concurrency=200,cps=100",
    "MAX_CALLS": "200",
    "RING_TIMEOUT": "8s",
    "MAX_CALL_SECONDS": "40",
    "PHONE_TIMEOUT": "3s",
    "DRAIN_TIMEOUT": "60s",
    "RETRY_NO_ANSWER": "",
    "RETRY_REFUSED": "",
    "CALLER_HEALTH": "",
    "BREAKER": "",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "DEBUG",
}
"""Deadlines short; no retries, so that each task may ring once at most; nothing that would make tasks wait for long."""


@dataclass
class Batch:
    """Tasks of one attack. ``numbers``: each task's own, so that rings can be counted by task."""

    ids: dict[str, int] = field(default_factory=dict)
    """Number -> batchId."""

    def __add__(self, other: Batch) -> Batch:
        return Batch(self.ids | other.ids)


class House:
    """As a context manager: started on entering, all ended by their pids on leaving."""

    def __init__(self, directory: Path, database_url: str, *, roles: tuple[str, ...] = ROLES, **settings: str) -> None:
        """``roles``: the processes that it consists of, beside Redis and the sandbox, which is two: the phone system with its
        people, and the cloud. The one may be away without the other: nobody is called while speech is."""
        self.roles = roles
        self.directory = directory
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True)
        names = ("redis", "phone", "cloud", "api", "media", "flower", "no phone", "no cloud")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        # Flower's line in the Procfile names a file from where it stands; a developer's .env is not to be read.
        (directory / "deploy").symlink_to(ROOT / "deploy")
        (directory / "playbooks").mkdir()
        for playbook in (path for each in PLAYBOOKS for path in each.glob("*.md")):
            (directory / "playbooks" / playbook.name).symlink_to(playbook)
        own = {
            "DATABASE_URL": _with_password(database_url),
            "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{self.ports['redis']}/0",
            "LLM_ENDPOINT": f"http://127.0.0.1:{self.ports['cloud']}/v1",
            "STATE_DIR": str(directory),
            "PHONE_URL": f"http://127.0.0.1:{self.ports['phone']}/np/sandbox/dialog",
            "PLAYBOOKS_DIR": str(directory / "playbooks"),
            **{f"{name.upper()}_LISTEN": f"127.0.0.1:{self.ports[name]}" for name in ("api", "media", "flower")},
            "PUBLIC_URL": f"http://127.0.0.1:{self.ports['api']}",
        }
        waihu = {PREFIX + name: value for name, value in (SETTINGS | own | settings).items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        self.environment = kept | waihu | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        write_endpoints(directory, {"cloud_url": f"http://127.0.0.1:{self.ports['cloud']}"})
        self.settings: Settings = load(waihu, directory)
        self.engine: Engine = open_engine(database_url)
        self.redis: redis.Redis = open_redis(self.settings.redis_url)
        self.api = f"http://127.0.0.1:{self.ports['api']}"
        self.phone = f"http://127.0.0.1:{self.ports['phone']}/np/sandbox"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deaths: list[tuple[int, str]] = []
        """When a process was killed (Unix time, milliseconds), and its role."""
        self.clocks: dict[str, float] = {}
        """By role, how many seconds its wall clock is ahead, if it is not right (``set_clocks``)."""
        self.unwritten: list[Stretch] = []
        self.unheard: list[Stretch] = []
        """When media's disk was full, and when speech was at fault (Unix time, milliseconds)."""
        self.signatures: set[str] = set()
        """Of links to recordings that were given out."""
        self._numbers = iter(range(100, 100_000))

    def __enter__(self) -> House:
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for roles in (("beat1", "beat2", "flower", "worker1", "worker2"), ("media1", "media2"), ("web",)):
            self.end(*roles)
        self.end(*list(self.processes))
        self.engine.dispose()
        self.redis.close()

    def _start_all(self) -> None:
        upgrade(self.settings.database_url)
        self.start("redis", "cloud", "sandbox")
        wait_for(self.redis_answers, READY_WITHIN, "Redis does not answer")
        self.start(*self.roles)
        wait_for(self.ready, READY_WITHIN, "the house is not ready")

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, *roles: str, command: str = "", **environment: str) -> None:
        """Starts processes in groups of their own; their words are appended to ``logs/ROLE.log``."""
        for role in roles:
            with (self.logs / f"{role}.log").open("ab") as log:
                self.processes[role] = subprocess.Popen(
                    shlex.split(command or self._command(role)),
                    cwd=self.directory,
                    env=self.environment | self._wrong_clock(role) | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def set_clocks(self, clocks: Mapping[str, float]) -> None:
        """By role, by how many seconds its wall clock is ahead from now on. A process that runs with a right clock has no
        other: every role that is to be set while it runs must be here before it is started, if only with 0."""
        for role, seconds in clocks.items():
            self._clock_file(role).parent.mkdir(exist_ok=True)
            draft = self._clock_file(role).with_suffix(".draft")
            draft.write_text(str(seconds))
            draft.replace(self._clock_file(role))
        self.clocks.update(clocks)

    def _clock_file(self, role: str) -> Path:
        return self.directory / "clocks" / role

    def _wrong_clock(self, role: str) -> dict[str, str]:
        if role not in self.clocks:
            return {}
        path = os.pathsep.join([str(SKEWED), self.environment["PYTHONPATH"]])
        return {"PYTHONPATH": path, "FAULT_CLOCK": str(self._clock_file(role))}

    def _command(self, role: str) -> str:
        if role == "redis":
            directory = self.directory / "redis"
            directory.mkdir(exist_ok=True)
            command = embedded.redis_command(embedded.redis_server(), self.ports["redis"], directory)
            return f"{command} --requirepass {REDIS_PASSWORD}"
        if role in ("sandbox", "cloud"):
            phone, cloud = ("phone", "no cloud") if role == "sandbox" else ("no phone", "cloud")
            secret = f"env SANDBOX_SECRET={SECRET} "
            return secret + embedded.sandbox_command(self.settings, self.ports[phone], self.ports[cloud], SCENARIO)
        line = procfile.read()[role.rstrip("12")]
        return f"{line} -n {role}@%h" if role.startswith("worker") else line

    def kill(self, role: str) -> None:
        """SIGKILL to the whole group: no last words. Returns once its first process is gone."""
        process = self.processes.pop(role)
        self.deaths.append((_now_ms(), role))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(END_WITHIN)

    def end(self, *roles: str) -> None:
        """SIGTERM, patience, SIGKILL: nothing of these is left when it returns."""
        going = [self.processes.pop(role) for role in roles if role in self.processes]
        for process in going:
            process.terminate()
        for process in going:
            try:
                process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(END_WITHIN)

    def restart(self, role: str) -> None:
        self.kill(role)
        self.start(role)

    def fill_disk(self, *roles: str) -> None:
        """From now on no file that these processes write may grow, as on a full disk: their writes fail with EFBIG."""
        for role in roles:
            resource.prlimit(self.processes[role].pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def clear_disk(self, *roles: str) -> None:
        for role in roles:
            limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self.processes[role].pid, resource.RLIMIT_FSIZE, limits)

    def memory(self) -> dict[str, float]:
        """MiB that each role's processes hold (resident, all of its group together)."""
        held: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:  # it has ended
                    continue
                group = int(fields[2])
                held[group] = held.get(group, 0) + int(fields[21]) * resource.getpagesize()
        return {role: held.get(process.pid, 0) / (1 << 20) for role, process in self.processes.items()}

    def revive(self) -> None:
        """Starts again what is dead, as a supervisor would. Returns once the house is whole."""
        for role in ("redis", *self.roles):
            process = self.processes.get(role)
            if process is None or process.poll() is not None:
                self.start(role)
        wait_for(self.ready, READY_WITHIN, "the house is not whole again")

    def redis_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def ready(self, media: int = 0) -> bool:
        """API, so many media processes (else those that belong to the house) and the workers can do their work."""
        media = media or sum(role.startswith("media") for role in self.roles)
        workers = sum(role.startswith("worker") for role in self.roles)
        try:
            beats = self._beating()
        except redis.RedisError:
            return False
        return answers(f"{self.api}/readyz") and beats >= media and len(ping_workers(self.settings)) >= workers

    def _beating(self) -> int:
        """How many media processes that live take calls: the heartbeat of one that was killed is believed for seconds."""
        pids = {str(process.pid) for process in self.processes.values() if process.poll() is None}
        told = cast("dict[bytes, bytes]", self.redis.hgetall(bus.MEDIA_KEY))
        mine = [raw for name, raw in told.items() if name.decode().rsplit("-", 2)[1] in pids]
        return sum(not beat.draining for beat in bus.living(mine, _now_ms()))

    # --- what people do ----------------------------------------------------------------------------------------------

    def tickets(self, suffixes: Sequence[str], ticket_type: str = "活动通知1") -> list[dict[str, str]]:
        """One ticket each, to a number of its own that ends as the sandbox's people do."""
        numbers = [f"13{next(self._numbers):05d}{suffix}" for suffix in suffixes]
        common = TICKET | {"ticketType": ticket_type}
        return [{"ticketNo": f"T-{number}", "phone": number, **common} for number in numbers]

    def submit(self, suffixes: Sequence[str], *, within: float = 60.0) -> Batch:
        """As a client does: sent again until it is answered, which makes no second task (reading.md, "Sent twice")."""
        return self.post(self.tickets(suffixes), within=within)

    def post(self, tickets: list[dict[str, str]], *, within: float = 60.0) -> Batch:
        answers: list[dict[str, Any]] = []

        def sent() -> bool:
            answer = self.call("/api/aicall/createTasks", tickets)
            if answer is not None:
                answers.append(answer)
            return answer is not None

        wait_for(sent, within, "createTasks was not answered")
        rows = answers[0]["data"]
        return Batch({ticket["phone"]: int(row["batchId"]) for ticket, row in zip(tickets, rows, strict=True)})

    def stop(self, batch_ids: Sequence[int], *, within: float = 60.0) -> None:
        wait_for(
            lambda: self.call("/api/aicall/stopTasks", {"batchIds": list(batch_ids)}) is not None,
            within,
            "stopTasks was not answered",
        )

    def call(self, path: str, body: object) -> dict[str, Any] | None:
        """The envelope of a success; None if there was no answer, or an error that a repetition may mend."""
        try:
            response = httpx2.post(self.api + path, json=body, headers={"X-API-Key": KEY}, timeout=10, trust_env=False)
        except httpx2.HTTPError:
            return None
        if response.status_code >= 500:
            return None
        envelope: dict[str, Any] = response.json()
        assert envelope["code"] in (0, 200), envelope
        return envelope

    # --- the witness, and the truth ----------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx2.get(f"{self.phone}/report", timeout=30, trust_env=False).json()
        return found

    def faults(self, number: str = "", **faults: object) -> None:
        """From now on, for calls to this number; without any, the phone system does its work again."""
        if number:
            url = f"{self.phone}/faults"
            httpx2.post(url, params={"number": number}, json=faults, timeout=10, trust_env=False).raise_for_status()
        else:
            httpx2.delete(f"{self.phone}/faults", timeout=10, trust_env=False).raise_for_status()

    def speech_fault(self, service: str = "", fault: str = "", times: int | None = None) -> None:
        """The stand-in cloud's ``service`` (asr, tts) misbehaves for the next ``times``; without any, all do their work."""
        url = f"http://127.0.0.1:{self.ports['cloud']}/admin/faults"
        if service:
            self.unheard.append(Stretch(_now_ms(), math.inf))
            wanted = {"fault": fault, "times": times}
            httpx2.put(f"{url}/{service}", json=wanted, timeout=10, trust_env=False).raise_for_status()
        else:
            httpx2.delete(url, timeout=10, trust_env=False).raise_for_status()
            self.unheard = [replace(one, end=min(one.end, _now_ms())) for one in self.unheard]

    def unfinished(self, batch: Batch) -> int:
        """How many tasks are not final yet."""
        waiting = select(func.count()).where(
            tasks.c.batch_id.in_(list(batch.ids.values())), tasks.c.state.not_in(FINAL_TASKS)
        )
        with reading(self.engine) as connection:
            return int(connection.execute(waiting).scalar_one())

    def waihu(self, *arguments: str) -> str:
        """What the command prints, as an administrator of this house runs it; whatever its exit code is."""
        command = [sys.executable, "-m", "deploy.cli", *arguments]
        ran = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        return ran.stdout

    def queued(self, batch: Batch) -> int:
        """How many calls of these tasks wait to be dialled."""
        mine = calls.c.batch_id.in_(list(batch.ids.values()))
        with reading(self.engine) as connection:
            return int(
                connection.execute(select(func.count()).where(mine, calls.c.state == CallState.QUEUED)).scalar_one()
            )

    def live(self, batch: Batch) -> list[dict[str, Any]]:
        """The witness's calls to these numbers that people are talking on."""
        mine = select(calls.c.uuid).where(
            calls.c.batch_id.in_(list(batch.ids.values())),
            calls.c.state.in_(LIVE_CALLS),
            calls.c.dialing_at.is_not(None),
        )
        with reading(self.engine) as connection:
            uuids = connection.execute(mine).scalars().all()
        told = [httpx2.get(f"{self.phone}/report/{uuid}", timeout=30, trust_env=False) for uuid in uuids]
        return [call for call in (one.json() for one in told if one.status_code == 200) if call["state"] == "answered"]


def _with_password(database_url: str) -> str:
    """A server of ours trusts everybody, whatever password they give."""
    if not database_url.startswith("postgresql"):
        return database_url
    return make_url(database_url).set(password=DATABASE_PASSWORD).render_as_string(hide_password=False)


def wait_for(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Returns once ``condition`` holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise}, within {seconds:g} s")
        time.sleep(LOOK_AGAIN)


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def free_ports(count: int) -> list[int]:
    """Free at this moment, and all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]
