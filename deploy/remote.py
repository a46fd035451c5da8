"""The running API that a command talks to: how it is found, and the options by which it can be named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from deploy.client import Api
from deploy.embedded import reachable
from shared.settings import ENDPOINTS_FILE, Settings, load


@dataclass(frozen=True)
class Remote:
    """``origin``: where its address was taken from, for whoever gets no answer there."""

    settings: Settings
    url: str
    key: str
    origin: str

    def open(self) -> Api:
        return Api(self.url, self.key, self.origin)


def remote(command: Any) -> Any:
    """Options of every command that talks to the running API."""
    for option in (
        click.option("--api", "url", help="Where the API is; by default what the settings say."),
        click.option("--key", default="", help="API key; by default the first of WAIHU_API_KEYS."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        command = option(command)
    return command


def find(url: str | None, key: str) -> Remote:
    """The API at ``url``, else where the settings say. Raises SettingsError."""
    settings = load()
    keys = settings.api_keys
    origin = "given by --api" if url else _origin(settings)
    return Remote(settings, url or f"http://{reachable(settings.api_listen)}", key or (keys[0] if keys else ""), origin)


def _origin(settings: Settings) -> str:
    source, endpoints = settings.sources["api_listen"], settings.state_dir / ENDPOINTS_FILE
    if source == "default":
        lack = "names no address of the API" if endpoints.is_file() else "is not there"
        return (
            f"the default, since {endpoints}, which `waihu up` writes, {lack}: "
            "run this in the directory of `waihu up`, set WAIHU_STATE_DIR to its state directory, or give --api"
        )
    return f"from {endpoints}, which `waihu up` wrote" if source == "embedded" else f"WAIHU_API_LISTEN, {source}"
