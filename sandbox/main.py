"""`python -m sandbox.main`: the stand-in phone system and the stand-in cloud services in one process."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import msgspec
import uvloop

from sandbox.cloud.server import Cloud, CloudConfig, serve_cloud
from sandbox.phone.system import PhoneConfig, PhoneSystem, serve_phone
from sandbox.scenario import Scenario, ScenarioError, load_scenario


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. Port 0 is a free one; `cloud_port` None: no cloud services."""

    phone: PhoneConfig = msgspec.field(default_factory=PhoneConfig)
    cloud_port: int | None = None
    cloud: CloudConfig = msgspec.field(default_factory=CloudConfig)


@dataclass(slots=True)
class Sandbox:
    """The running stand-ins."""

    phone: PhoneSystem
    cloud: Cloud | None

    @property
    def phone_url(self) -> str:
        """The dialog API's base URL (phone-system.txt, 1.1)."""
        return self.phone.url

    @property
    def cloud_url(self) -> str | None:
        """`http://HOST:PORT` of the cloud services, None if there are none."""
        return self.cloud.url if self.cloud is not None else None

    async def close(self) -> None:
        """Stop everything; calls end, connections close."""
        await self.phone.close()
        if self.cloud is not None:
            await self.cloud.close()


async def serve_sandbox(config: SandboxConfig) -> Sandbox:
    """Start the stand-ins in this event loop. Raises OSError if a port is taken; then nothing is left running."""
    phone = await serve_phone(config.phone)
    if config.cloud_port is None:
        return Sandbox(phone, None)
    try:
        cloud = await serve_cloud(config.phone.host, config.cloud_port, config.cloud)
    except OSError:
        await phone.close()
        raise
    return Sandbox(phone, cloud)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=18059, show_default=True, help="Port of the phone system; 0 is a free one.")
@click.option("--callback-url", help="Where events are posted.")
@click.option("--audio-url", help="Where the audio socket of an answered call is opened (ws://...).")
@click.option("--secret", envvar="SANDBOX_SECRET", help="Sent with events and audio sockets.")
@click.option("--secret-in", type=click.Choice(["header", "query"]), default="header", show_default=True)
@click.option("--scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file.")
@click.option("--cloud-port", type=int, help="Port of the cloud services; without it there are none.")
@click.option("--people", is_flag=True, help="Print who answers which number, and exit.")
def main(
    host: str,
    port: int,
    callback_url: str | None,
    audio_url: str | None,
    secret: str | None,
    secret_in: Literal["header", "query"],
    scenario: Path | None,
    cloud_port: int | None,
    people: bool,
) -> None:
    """Stand-ins for the world outside: a phone system with people behind it, and cloud services for speech and chat."""
    try:
        setting = load_scenario(scenario) if scenario is not None else Scenario()
    except ScenarioError as error:
        raise click.ClickException(str(error)) from error
    if people:
        _print_people(setting)
        return
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    phone = PhoneConfig(
        host=host,
        port=port,
        callback_url=callback_url,
        audio_url=audio_url,
        secret=secret,
        secret_in=secret_in,
        scenario=setting,
    )
    try:
        uvloop.run(_run(SandboxConfig(phone=phone, cloud_port=cloud_port)))
    except OSError as error:
        raise click.ClickException(f"can't listen on {host}, ports {port} and {cloud_port}: {error}") from error


async def _run(config: SandboxConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sandbox = await serve_sandbox(config)
    gc.freeze()  # what is loaded by now stays: full collections, which stop the audio, need not walk it again
    click.echo(f"sandbox ready: phone {sandbox.phone_url} cloud {sandbox.cloud_url or 'none'}")
    await stop.wait()
    await sandbox.close()


def _print_people(scenario: Scenario) -> None:
    for row in scenario.directory.table():
        faults = f"  [{row['faults']}]" if row["faults"] else ""
        click.echo(f"{row['number']:>8}  {row['manner']:<12} {row['about']}{faults}")


if __name__ == "__main__":
    main()
