"""What a local house consists of: which ports it takes, what it embeds, and the processes in their order."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy import embedded, procfile
from deploy.ports import PortTaken, choose, listen_problem
from deploy.state import write_endpoints
from shared.settings import Settings, load

REDIS_PORT, PHONE_PORT, CLOUD_PORT = 16379, 18059, 18060
PHONE_PATH = "/np/sandbox/dialog"
LOOPBACK = "127.0.0.1"
_LISTENS = {"api_listen": "the API", "media_listen": "media", "flower_listen": "Flower"}
VOICES = ("media", "sandbox")
VOICE_NICE = -10
SET = ("environment", ".env")
"""Where a setting comes from that somebody has set."""
_AS_ROOT = "ignore:You're running the worker with superuser privileges"
"""Celery's advice for servers, in eight lines; here whoever is root knows, and loopback is all that is served."""


@dataclass(frozen=True)
class Service:
    """One process to keep alive: ``command`` goes to the shell."""

    name: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def nice(self) -> int:
        """Voice has a deadline every 20 ms and takes little; who only computes can wait. Wants the right to it."""
        return VOICE_NICE if self.name in VOICES else 0


@dataclass(frozen=True)
class Plan:
    """Everything a supervisor needs. ``settings`` are as the processes will read them; ``notes`` are for people."""

    settings: Settings
    environment: Mapping[str, str]
    directory: Path
    services: tuple[Service, ...]
    notes: tuple[str, ...]
    sandbox_url: str
    """``http://HOST:PORT`` of the sandbox's phone system, "" if there is none."""


def draw(
    environment: Mapping[str, str],
    directory: Path,
    *,
    scenario: Path | None = None,
    stand_in_llm: bool = False,
    without: frozenset[str] = frozenset(),
) -> Plan:
    """The plan for these settings, with ``endpoints.json`` written. The state directory must be held.

    ``scenario``: the sandbox's. ``stand_in_llm``: the sandbox plays the language model too. ``without``: processes of
    the Procfile to leave out. Raises SettingsError, PortTaken, RedisMissing, OSError.
    """
    settings = load(environment, directory)
    endpoints, notes = _endpoints(settings, stand_in_llm)
    write_endpoints(settings.state_dir, endpoints)
    settings = load(environment, directory)
    shared = {"PATH": own_path(environment), "PYTHONUNBUFFERED": "1", "WAIHU_STATE_DIR": str(settings.state_dir)}
    shared["PYTHONWARNINGS"] = ",".join(filter(None, [environment.get("PYTHONWARNINGS"), _AS_ROOT]))
    sandbox_url = endpoints["phone_url"].removesuffix(PHONE_PATH) if "phone_url" in endpoints else ""
    services = [*_embedded_services(settings, endpoints, scenario)]
    services += [Service(name, line) for name, line in procfile.read().items() if name not in without]
    return Plan(settings, {**environment, **shared}, directory, tuple(services), tuple(notes), sandbox_url)


def _endpoints(settings: Settings, stand_in_llm: bool) -> tuple[dict[str, str], list[str]]:
    """What goes into ``endpoints.json``, and what a person should know of it."""
    endpoints: dict[str, str] = {}
    notes: list[str] = []
    taken: set[int] = set()
    listens: dict[str, tuple[str, int]] = {}
    for name, title in _LISTENS.items():
        host, wanted = getattr(settings, name)
        if settings.sources[name] in SET:
            problem = listen_problem(host, wanted)
            if problem:
                raise PortTaken(f"WAIHU_{name.upper()}: {problem}, and the setting demands it for {title}")
            taken.add(wanted)
            port = wanted
        else:
            port = _choose(host, wanted, taken, title, notes)
        listens[name] = (host, port)
        # Also one that was set: a command in another terminal has the state directory, and not this environment.
        endpoints[name] = f"{host}:{port}"
    endpoints["playbooks_dir"] = str(settings.playbooks_dir)  # which may be meant from the directory of `waihu up`
    endpoints["public_url"] = f"http://{embedded.reachable(listens['api_listen'])}"
    if settings.embedded_redis:
        endpoints["redis_url"] = f"redis://{LOOPBACK}:{_choose(LOOPBACK, REDIS_PORT, taken, 'Redis', notes)}/0"
    if embedded.needs_sandbox(settings) or stand_in_llm:
        phone = _choose(LOOPBACK, PHONE_PORT, taken, "the sandbox's phone system", notes)
        cloud = _choose(LOOPBACK, CLOUD_PORT, taken, "the sandbox's cloud", notes)
        endpoints["phone_url"] = f"http://{LOOPBACK}:{phone}{PHONE_PATH}"
        endpoints["cloud_url"] = f"http://{LOOPBACK}:{cloud}"
        if stand_in_llm:
            endpoints |= {"llm_endpoint": f"{endpoints['cloud_url']}/v1", "llm_key": "standin"}
    return endpoints, notes


def _choose(host: str, wanted: int, taken: set[int], title: str, notes: list[str]) -> int:
    port = choose(host, wanted, taken)
    if port != wanted:
        notes.append(f"port {wanted} is taken: {title} is on {port}")
    return port


def _embedded_services(settings: Settings, endpoints: Mapping[str, str], scenario: Path | None) -> list[Service]:
    services = []
    if "redis_url" in endpoints:
        directory = settings.state_dir / "redis"
        directory.mkdir(exist_ok=True)
        port = _port(endpoints["redis_url"])
        command = embedded.redis_command(embedded.redis_server(), port, directory)
        services.append(Service("redis", command))
    if "cloud_url" in endpoints:
        command = embedded.sandbox_command(
            settings, _port(endpoints["phone_url"]), _port(endpoints["cloud_url"]), scenario
        )
        secret = {"SANDBOX_SECRET": settings.phone_secret} if settings.phone_secret else {}
        services.append(Service("sandbox", command, secret))
    return services


def _port(url: str) -> int:
    return int(url.split("://")[1].split("/")[0].rpartition(":")[2])


def own_path(environment: Mapping[str, str]) -> str:
    """The PATH with this interpreter's own programs first: gunicorn, celery and python are those of this installation."""
    return os.pathsep.join(filter(None, [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]))
