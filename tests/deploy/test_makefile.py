"""What ``make`` says to the Pythons that it finds, before it installs anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
MAKE = shutil.which("make")
TOOLS = ("sh", "sed", "rm", "touch", "grep", "mkdir", "cp")
"""All that the recipe needs of a machine besides Python; a redis-server is not among them unless a test puts it there."""
SECONDS = 60

pytestmark = pytest.mark.skipif(MAKE is None, reason="there is no make here")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory with the Makefile, and ``bin``, the whole PATH."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def install_python(machine: Path, name: str, version: tuple[int, int]) -> None:
    """Answers every question as a Python of that version would; its venv holds itself, and its pip does nothing."""
    path = machine / "bin" / name
    path.write_text(
        f"""#!/bin/sh
case "$*" in
"-c "*) exec {sys.executable} -S -c "import sys; sys.version_info = ({version[0]}, {version[1]}, 0, 'final', 0); $2" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "{path}" "$3/bin/python" ;;
"-m pip "*) ;;
*) exit 9 ;;
esac
"""
    )
    path.chmod(0o755)


def make(machine: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and all output of what every target does first."""
    assert MAKE is not None
    done = subprocess.run(
        [MAKE, *arguments, ".venv/.runtime"],
        cwd=machine,
        env={"PATH": str(machine / "bin"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def venv_version(machine: Path) -> str:
    command = [machine / ".venv" / "bin" / "python", "-c", "print(*sys.version_info[:2], sep='.')"]
    done = subprocess.run(
        command, env={"PATH": str(machine / "bin")}, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True
    )
    return done.stdout.strip()


def test_of_several_pythons_one_with_an_embedded_redis_is_taken(machine: Path) -> None:
    for name, version in (("python3.13", (3, 13)), ("python3.11", (3, 11)), ("python3", (3, 13))):
        install_python(machine, name, version)
    code, output = make(machine)
    assert code == 0, output
    assert venv_version(machine) == "3.11"
    assert "redis" not in output.lower()


def test_python_313_alone_says_what_is_missing_and_what_to_do(machine: Path) -> None:
    install_python(machine, "python3.13", (3, 13))
    code, output = make(machine)
    assert code != 0
    for said in ("python3.13 is Python 3.13", "make PYTHON=", "install redis-server", "set WAIHU_REDIS_URL"):
        assert said in output, output
    assert not (machine / ".venv").exists()


def test_python_313_is_taken_where_a_redis_server_is_installed(machine: Path) -> None:
    install_python(machine, "python3", (3, 13))
    server = machine / "bin" / "redis-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    code, output = make(machine)
    assert code == 0, output
    assert f"{server} is used" in output
    assert venv_version(machine) == "3.13"


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_python_313_is_taken_where_a_redis_is_named(machine: Path, place: str) -> None:
    install_python(machine, "python3.13", (3, 13))
    url = "redis://127.0.0.1:6379/0"
    if place == ".env":
        (machine / ".env").write_text(f"WAIHU_LOG_LEVEL=INFO\nexport WAIHU_REDIS_URL={url}\n")
    code, output = make(machine, **({"WAIHU_REDIS_URL": url} if place == "environment" else {}))
    assert code == 0, output
    assert "WAIHU_REDIS_URL is used" in output


def test_an_empty_name_of_a_redis_names_none(machine: Path) -> None:
    install_python(machine, "python3.13", (3, 13))
    (machine / ".env").write_text("#WAIHU_REDIS_URL=redis://127.0.0.1:6379/0\nWAIHU_REDIS_URL=\n")
    assert make(machine)[0] != 0


def test_a_given_python_that_is_too_new_is_told_its_version(machine: Path) -> None:
    install_python(machine, "python3.12", (3, 12))
    install_python(machine, "python3.14", (3, 14))
    code, output = make(machine, "PYTHON=python3.14")
    assert code != 0
    assert "python3.14 is 3.14" in output
    assert "3.11, 3.12 or 3.13" in output


def test_no_python_at_all_is_said(machine: Path) -> None:
    code, output = make(machine)
    assert code != 0
    assert "Waihu needs Python 3.11 or 3.12" in output


def test_another_python_makes_the_environment_anew(machine: Path) -> None:
    install_python(machine, "python3.13", (3, 13))
    install_python(machine, "python3.12", (3, 12))
    assert make(machine, "PYTHON=python3.13", WAIHU_REDIS_URL="redis://127.0.0.1:6379/0")[0] == 0
    assert venv_version(machine) == "3.13"
    os.utime(machine / "requirements.lock", (2**31, 2**31))
    code, output = make(machine)
    assert code == 0, output
    assert venv_version(machine) == "3.12"
