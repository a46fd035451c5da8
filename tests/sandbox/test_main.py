from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from sandbox.main import SandboxConfig, main, serve_sandbox
from sandbox.phone.system import PhoneConfig

ROOT = Path(__file__).parents[2]


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.main", "--port", "0", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_one_line_when_ready_and_leaves_cleanly_on_a_signal(number: signal.Signals) -> None:
    with start() as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox ready: phone http://127.0.0.1:")
        url = line.split()[3]
        assert httpx2.post(url, json={}, trust_env=False).json()["code"] != 0
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = CliRunner().invoke(main, ["--port", str(taken.getsockname()[1])])
    assert answer.exit_code == 1
    assert "can't listen on 127.0.0.1" in answer.output


def test_a_bad_scenario_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("phone: {rings: 1}")
    answer = CliRunner().invoke(main, ["--scenario", str(path)])
    assert answer.exit_code == 1
    assert "rings" in answer.output


def test_the_people_can_be_listed() -> None:
    answer = CliRunner().invoke(main, ["--people"])
    assert answer.exit_code == 0
    assert "*0011  voicemail" in answer.output
    assert "[startcall=empty]" in answer.output


def test_both_stand_ins_run_in_one_loop_and_close() -> None:
    async def scenario() -> None:
        sandbox = await serve_sandbox(SandboxConfig(phone=PhoneConfig(), cloud_port=0))
        assert sandbox.cloud_url is not None
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.post(sandbox.phone_url, json={})).status_code == 200
            assert (await client.get(sandbox.cloud_url + "/admin/requests")).status_code == 200
        await sandbox.close()

    asyncio.run(scenario())


def test_a_taken_cloud_port_leaves_nothing_running() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="ddress already in use"):
                await serve_sandbox(SandboxConfig(phone=PhoneConfig(), cloud_port=port))
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(scenario())
