"""Before ``waihu up`` starts anything: every setting that would make a process fail later is named now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from deploy.databases import require_reachable
from deploy.plan import SET
from deploy.ports import listen_problem
from media.agent.loading import load_playbooks
from media.agent.playbook import PlaybookError
from sandbox.scenario import ScenarioError, load_scenario
from shared import bus, recordings
from shared.errors import SettingsError, WaihuError
from shared.settings import PREFIX, Settings, require_safe_listen

SERVES = {"api_listen": "web", "media_listen": "media", "flower_listen": "flower"}
"""Setting -> the Procfile's process that listens there."""


class StartRefused(WaihuError):
    """Settings with which the house would not come up; the message names each, and what to do."""

    code = "start"


def require_startable(settings: Settings, without: frozenset[str] = frozenset(), scenario: Path | None = None) -> None:
    """Raises StartRefused that names everything at once. Looks at what is set; what is embedded comes up by itself.

    ``without``: processes that are left out. ``scenario``: the sandbox's. The state directory must be held.
    """
    looks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _listens(settings, without),
        lambda: _recordings(settings),
        lambda: _playbooks(settings, without),
        lambda: _database(settings),
        lambda: _redis(settings),
        lambda: _scenario(settings, scenario),
    )
    problems = [problem for look in looks for problem in look()]
    if problems:
        raise StartRefused(problems[0] if len(problems) == 1 else "cannot start:\n  " + "\n  ".join(problems))


def _listens(settings: Settings, without: frozenset[str]) -> Iterator[str]:
    for name, process in SERVES.items():
        if process in without:
            continue
        host, port = getattr(settings, name)
        try:
            require_safe_listen(settings, (host, port))
        except SettingsError as error:
            yield f"{PREFIX}{name.upper()}: {error}"
            continue
        problem = listen_problem(host, port) if settings.sources[name] in SET else ""
        if problem:
            yield f"{PREFIX}{name.upper()}: {problem}"


def _recordings(settings: Settings) -> Iterator[str]:
    try:
        recordings.filesystem_id(settings.recordings_dir)
    except OSError as error:
        yield (
            f"{PREFIX}RECORDINGS_DIR: {settings.recordings_dir} cannot be written: {error.strerror or error}; "
            "let this user write there, or name another directory"
        )


def _playbooks(settings: Settings, without: frozenset[str]) -> Iterator[str]:
    if "media" in without:
        return
    try:
        load_playbooks(settings.playbooks_dir)
    except PlaybookError as error:
        yield str(error)


def _database(settings: Settings) -> Iterator[str]:
    try:
        require_reachable(settings)
    except WaihuError as error:
        yield str(error)


def _redis(settings: Settings) -> Iterator[str]:
    if settings.embedded_redis:
        return
    client = bus.open_redis(settings.redis_url)
    try:
        client.ping()
    except redis.RedisError as error:
        yield f"{PREFIX}REDIS_URL: {redis_problem(error)}; start it, or correct the setting"
    finally:
        client.close()


def _scenario(settings: Settings, scenario: Path | None) -> Iterator[str]:
    if scenario is None:
        return
    if "phone" not in settings.standins:
        yield (
            "--scenario: a scenario is for the sandbox's phone system, and this house calls real phones; "
            f"leave it out, or unset {PREFIX}PHONE_URL"
        )
        return
    try:
        load_scenario(scenario)
    except (ScenarioError, OSError) as error:
        yield f"--scenario: {' '.join(str(error).split())}"


def redis_problem(error: redis.RedisError) -> str:
    """Why Redis is of no use, in one line: its own words, or the system's; neither holds the password."""
    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"Redis does not answer: {words[:200]}"
