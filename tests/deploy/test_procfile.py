"""The Procfile: read as written, and true to what production runs."""

from __future__ import annotations

import shlex

import pytest

from deploy import flower, procfile


def test_it_names_every_process_and_its_command() -> None:
    assert procfile.parse("# a comment\n\nweb: gunicorn 'a:b()'\nworker:  celery -A x worker \n") == {
        "web": "gunicorn 'a:b()'",
        "worker": "celery -A x worker",
    }


@pytest.mark.parametrize("text", ["web", "web:", ": x", "Web: x", "web: a\nweb: b", "we b: x"])
def test_a_line_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="Procfile, line"):
        procfile.parse(text)


def test_the_houses_own_has_the_five_documented_processes() -> None:
    commands = procfile.read()
    assert list(commands) == ["web", "worker", "beat", "media", "flower"]
    assert [shlex.split(command)[0] for command in commands.values()] == [
        "gunicorn",
        "celery",
        "celery",
        "python",
        "python",
    ]


def test_no_command_depends_on_the_directory_it_is_started_in() -> None:
    words = [word for command in procfile.read().values() for word in shlex.split(command)]
    assert [word for word in words if "/" in word] == []
    assert flower.CONFIG.is_absolute()
    assert flower.CONFIG.exists()
    assert flower.arguments(["--port=1"]) == ["flower", f"--conf={flower.CONFIG}", "--port=1"]
