"""Every setting: environment variables with the prefix ``WAIHU_``, a ``.env`` file beside them, one frozen object.

Nothing reads the environment at import. ``load`` is called once by each entry point and the object passed on.
What the local supervisor started by itself (embedded Redis, sandbox) and where its processes listen it writes to
``endpoints.json`` in the state directory; a setting that is not set takes its value from there, so that a command or a
worker started by hand on the same machine finds the same house.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from shared import values
from shared.errors import SettingsError
from shared.numbers import CHINA
from shared.values import Caller as Caller

PREFIX = "WAIHU_"
ENDPOINTS_FILE = "endpoints.json"


def _setting(
    default: str, parse: Callable[[str], Any], about: str, *, secret: bool = False, empty_counts: bool = False
) -> Any:
    """``empty_counts``: an empty value means "none"; elsewhere it means that the setting was not set."""
    metadata = {"default": default, "parse": parse, "about": about, "secret": secret, "empty_counts": empty_counts}
    return field(metadata=metadata)


_http = values.url("http", "https")
_speech = values.url("ws", "wss", "http", "https")
_database = values.url("sqlite", "postgresql", "postgresql+psycopg2")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, parsed. Durations are seconds."""

    database_url: str = _setting("", _database, "SQLite in the state directory, or postgresql://…")
    redis_url: str = _setting("", values.url("redis", "rediss", "unix"), "embedded Redis on loopback, or redis://…")
    state_dir: Path = _setting("var", Path, "where the embedded database, Redis and logs live")
    recordings_dir: Path = _setting(
        "", Path, "recordings root, one filesystem for api, workers and media; STATE_DIR/recordings"
    )
    phone_url: str = _setting("", _http, "the phone system's dialog API; the sandbox if empty")
    phone_secret: str = _setting("", str.strip, "secret that phone events and audio sockets must carry", secret=True)
    phone_record: bool = _setting("true", values.boolean, "isRecord of startcall")
    phone_timeout: float = _setting("10s", values.duration, "longest wait for the phone system's answer to one request")
    callers: tuple[Caller, ...] = _setting("057128167421:concurrency=30,cps=10", values.callers, "numbers we call from")
    max_calls: int = _setting("200", values.positive, "calls at once, over all numbers")
    media_capacity: int = _setting("200", values.positive, "calls at once in one media process")
    country_code: str = _setting(
        CHINA,
        values.country_code,
        "of numbers that are given without one: +8613800138000 and 13800138000 are one customer",
    )
    call_window: str = _setting(
        "",
        str.strip,
        "hours in which customers may be called, such as Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00; empty: always",
    )
    ring_timeout: float = _setting("60s", values.duration, "how long a phone may ring")
    max_call_seconds: float = _setting("600", values.duration, "longest conversation")
    retry_no_answer: tuple[float, ...] = _setting(
        "30m,2h", values.durations, "one delay per retry of an unanswered call; empty: none", empty_counts=True
    )
    retry_refused: tuple[float, ...] = _setting(
        "1m,5m", values.durations, "one delay per retry of a refused call; empty: none", empty_counts=True
    )
    redial_unknown: bool = _setting("0", values.boolean, "dial again when nobody knows whether the phone rang")
    ticket_repeat_after: float = _setting(
        "24h", values.duration, "how long a repeated ticketNo answers with the task it made"
    )
    batch_limit: int = _setting("10000", values.positive, "most tickets in one request")
    api_keys: tuple[str, ...] = _setting(
        "", values.words, "keys that may use the API, separated by commas", secret=True
    )
    api_listen: tuple[str, int] = _setting("127.0.0.1:8899", values.listen, "where the API listens")
    media_listen: tuple[str, int] = _setting("127.0.0.1:8080", values.listen, "where the media process listens")
    flower_listen: tuple[str, int] = _setting("127.0.0.1:5555", values.listen, "where Flower listens")
    public_url: str = _setting("http://127.0.0.1:8899", _http, "how others reach the API; begins every wavFileUrl")
    timezone: ZoneInfo = _setting("Asia/Shanghai", values.zone, "zone of every printed and parsed time")
    success_code: str = _setting(
        "spec", values.choice("spec", "0", "200"), "code of success: as each endpoint's example, or one for all"
    )
    log_format: str = _setting("text", values.choice("text", "json"), "text or json")
    log_level: str = _setting(
        "INFO", values.choice("DEBUG", "INFO", "WARNING", "ERROR"), "least severe level that is logged"
    )
    asr_provider: str = _setting("", values.choice("", "aliyun"), "speech recognition; the stand-in if empty")
    asr_endpoint: str = _setting("", _speech, "the provider's endpoint, if not its own default")
    asr_key: str = _setting("", str.strip, "the provider's key", secret=True)
    asr_model: str = _setting("paraformer-realtime-8k-v2", str.strip, "the provider's model")
    tts_provider: str = _setting("", values.choice("", "aliyun"), "speech synthesis; the stand-in if empty")
    tts_endpoint: str = _setting("", _speech, "the provider's endpoint, if not its own default")
    tts_key: str = _setting("", str.strip, "the provider's key", secret=True)
    tts_model: str = _setting("cosyvoice-v2", str.strip, "the provider's model")
    tts_voice: str = _setting("longyumi_v2", str.strip, "the provider's voice, unless the playbook names one")
    fallback_file: str = _setting(
        "",
        str.strip,
        "the phone system's file that apologises when nothing can be spoken, by its name there; empty: none",
    )
    fallback_file_length: float = _setting("6s", values.duration, "how long that file is")
    llm_endpoint: str = _setting(
        "", _http, "an OpenAI-compatible endpoint, such as https://host/v1; empty: scripted playbooks only"
    )
    llm_key: str = _setting("", str.strip, "its key", secret=True)
    llm_model: str = _setting("qwen-plus", str.strip, "its model")
    playbooks_dir: Path = _setting("playbooks", Path, "what the AI says, one file per ticket type")
    allow_standin: bool = _setting("0", values.boolean, "dial although a stand-in is in use beside real services")
    frequency_cap: str = _setting("", str.strip, "most calls to one number, such as 2/1d,5/7d; empty: no cap")
    holidays: str = _setting(
        "", str.strip, "days without calls, such as 2026-10-01..2026-10-07,2027-01-01; empty: none"
    )
    retry_by_type: str = _setting(
        "",
        str.strip,
        "retries of some ticket types, such as 活动通知*: no_answer=10m,1h; refused=1m | 回访: no_answer=",
    )
    caller_health: str = _setting(
        "calls=50,drop=0.5,rest=30m",
        str.strip,
        "a caller number rests when its answer rate falls so far; empty: never",
        empty_counts=True,
    )
    breaker: str = _setting(
        "failures=5,within=30s,rest=15s",
        str.strip,
        "when the phone system is left alone; empty: never",
        empty_counts=True,
    )
    webhook_private: bool = _setting("0", values.boolean, "let webhooks reach private and loopback addresses")
    rate_limit: int | None = _setting("", values.limit, "requests a minute and key; empty: no limit")
    keep_recordings: float = _setting("0", values.duration, "how long recordings are kept; 0: for ever")
    keep_dialogues: float = _setting("0", values.duration, "how long dialogues are kept; 0: for ever")
    keep_events: float = _setting(
        "90d",
        values.duration,
        "how long phone events, settled webhook deliveries and calls that never left are kept; 0: for ever",
    )
    drain_timeout: float = _setting("11m", values.duration, "how long media lets live calls finish after SIGTERM")
    sources: Mapping[str, str] = field(default_factory=dict, metadata={"internal": True})
    """For each setting's name: ``environment``, ``.env``, ``embedded`` (endpoints.json) or ``default``."""

    @property
    def standins(self) -> tuple[str, ...]:
        """The stand-ins in use: any of ``phone``, ``asr``, ``tts``, and ``llm`` when it is the sandbox's."""
        used = [] if self.sources.get("phone_url") in ("environment", ".env") else ["phone"]
        used += [name for name in ("asr", "tts") if not getattr(self, f"{name}_provider")]
        used += ["llm"] if self.sources.get("llm_endpoint") == "embedded" else []
        return tuple(used)

    @property
    def standins_forbidden(self) -> bool:
        """Whether dialling must wait because a stand-in is in use beside a real service (design, section 4)."""
        real = any(
            self.sources.get(name) in ("environment", ".env") for name in ("database_url", "redis_url", "phone_url")
        )
        return real and bool(self.standins) and not self.allow_standin

    @property
    def embedded_redis(self) -> bool:
        """Whether the supervisor is to start a Redis of our own."""
        return self.sources.get("redis_url") not in ("environment", ".env")


def load(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Settings from ``environment`` (default: the process's), then ``.env`` in ``directory`` (default: the current one).

    An empty value counts as not set, and hides one in ``.env``; only where "empty" is a value of its own it means "none".
    Raises SettingsError that names every unknown and malformed setting at once, with the nearest right name.
    """
    settings, problems = read(environment, directory)
    if problems:
        raise SettingsError("settings are not right:\n  " + "\n  ".join(problem.message for problem in problems))
    return settings


@dataclass(frozen=True)
class Problem:
    """What is wrong with one variable. ``given``: what stands there, "" if it may not be shown."""

    variable: str
    given: str
    message: str


def read(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> tuple[Settings, list[Problem]]:
    """As ``load``, for whoever wants to see all of it: a malformed setting has its default, and a problem.

    Raises SettingsError only if a file cannot be read.
    """
    base = directory or Path.cwd()
    process = os.environ if environment is None else environment
    given = {name: (value, "environment") for name, value in process.items() if name.startswith(PREFIX)}
    for name, value in _dotenv(base / ".env").items():
        if name.startswith(PREFIX):
            given.setdefault(name, (value or "", ".env"))
    known = {PREFIX + name.upper(): name for name in names()}
    problems = [Problem(name, "", _unknown(name, known)) for name in sorted(set(given) - set(known))]
    texts = {known[name]: value for name, value in given.items() if name in known and _counts(known[name], value[0])}
    state_dir = base / texts.get("state_dir", ("var", ""))[0]
    for name, value in _embedded(state_dir, texts).items():
        texts.setdefault(name, (value, "embedded"))
    parsed, sources = {}, {}
    for item in setting_fields():
        text, sources[item.name] = texts.get(item.name, (item.metadata["default"], "default"))
        try:
            parsed[item.name] = item.metadata["parse"](text)
        except ValueError as error:
            parsed[item.name] = item.metadata["parse"](item.metadata["default"])
            problems.append(_malformed(item, text, str(error)))
    parsed["state_dir"] = state_dir.resolve()
    parsed["recordings_dir"] = (
        (base / texts["recordings_dir"][0]).resolve()
        if texts.get("recordings_dir", ("", ""))[0]
        else parsed["state_dir"] / "recordings"
    )
    parsed["playbooks_dir"] = (base / parsed["playbooks_dir"]).resolve()
    parsed["database_url"] = parsed["database_url"] or f"sqlite:///{parsed['state_dir'] / 'waihu.db'}"
    return Settings(**parsed, sources=sources), problems


def _malformed(item: Any, text: str, what: str) -> Problem:
    """An URL that cannot be parsed may hold a password anywhere."""
    variable, secret = PREFIX + item.name.upper(), item.metadata["secret"]
    shown = "" if secret or "@" in text or "://" in text else text
    return Problem(variable, shown, f"{variable}: {'its value is not as it should be' if secret else what}")


def require_safe_listen(settings: Settings, listen: tuple[str, int]) -> None:
    """Raises SettingsError if ``listen`` is beyond loopback while keys or the phone secret are missing."""
    host = listen[0]
    if is_loopback(host):
        return
    missing = [
        PREFIX + name
        for name, value in (("API_KEYS", settings.api_keys), ("PHONE_SECRET", settings.phone_secret))
        if not value
    ]
    if missing:
        raise SettingsError(
            f"listening on {host} lets others reach this machine; set {' and '.join(missing)} first, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _dotenv(path: Path) -> Mapping[str, str | None]:
    """What stands in a ``.env`` file, as written: a $ in a secret is a $."""
    try:
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as UTF-8 text: {type(error).__name__}") from error


def _counts(name: str, text: str) -> bool:
    """Whether a given value sets its setting."""
    return bool(text.strip()) or next(item for item in setting_fields() if item.name == name).metadata["empty_counts"]


def setting_fields() -> list[Any]:
    """Of all settings, in their order: dataclass fields, whose metadata is what ``_setting`` was given."""
    return [item for item in fields(Settings) if "internal" not in item.metadata]


def names() -> list[str]:
    """Of all settings, in their order: the variable is PREFIX and the name in capitals."""
    return [item.name for item in setting_fields()]


def _unknown(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name.removeprefix(PREFIX), [right.removeprefix(PREFIX) for right in known], n=1)
    return f"{name} is not a setting" + (
        f"; did you mean {PREFIX}{near[0]}?" if near else "; `waihu settings` lists them"
    )


def _embedded(state_dir: Path, texts: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """What the supervisor started on this machine, unless the setting it stands in for was set."""
    defaults = {"redis_url": "redis://127.0.0.1:16379/0", "phone_url": "http://127.0.0.1:18059/np/sandbox/dialog"}
    cloud = "http://127.0.0.1:18060"
    path = state_dir / ENDPOINTS_FILE
    if path.is_file():
        try:
            written = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(
                f"{path} is not a readable JSON object ({error}); stop what runs there and delete it"
            ) from error
        cloud = str(written.pop("cloud_url", cloud))
        defaults |= {name: str(value) for name, value in written.items() if name in names()}
    if not texts.get("phone_url", ("", ""))[0]:
        defaults["fallback_file"] = "fallback"  # one of the files that the sandbox's phone system has
    socket = cloud.replace("http", "ws", 1) + "/api-ws/v1/inference"
    for name in ("asr", "tts"):
        if not texts.get(f"{name}_provider", ("", ""))[0]:
            defaults[f"{name}_endpoint"] = socket
            defaults[f"{name}_key"] = "standin"
    return defaults
