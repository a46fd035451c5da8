"""What the documentation says is so: its settings exist and are all there, its requests are answered as it shows."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from api.app import create_app
from api.house import EXTENSION, House
from shared.database import upgrade
from shared.settings import PREFIX, Settings, load, names
from tests.api.conftest import RememberingBell

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
DEPLOYED = [
    path for path in (ROOT / "deploy").rglob("*") if path.suffix in (".yaml", ".service", ".target", ".md", ".env")
]
SETTINGS = ROOT / "docs" / "settings.md"
_NAME = re.compile(r"\bWAIHU_[A-Z0-9_]*[A-Z0-9]\b")
_FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def documented(item: Field[Any]) -> str:
    """The row of one setting in docs/settings.md."""
    default = f"`{item.metadata['default']}`" if item.metadata["default"] else ""
    about = item.metadata["about"].replace("|", "\\|")
    return f"| `{PREFIX}{item.name.upper()}` | {default} | {about} |"


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    rows = [line for line in SETTINGS.read_text("utf-8").splitlines() if line.startswith(f"| `{PREFIX}")]
    assert rows == [documented(item) for item in fields(Settings) if item.name in names()]


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYED], ids=lambda path: path.name)
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    known = {PREFIX + name.upper() for name in names()}
    assert set(_NAME.findall(page.read_text("utf-8"))) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@dataclass(frozen=True)
class Example:
    """A request as a page shows it, and the answer that follows it there, None if none does."""

    page: str
    method: str
    path: str
    headers: dict[str, str]
    data: str | None
    answer: Any


def examples() -> Iterator[Example]:
    for page in PAGES:
        fences = [
            (match[1], match[2], match.end(), match.start()) for match in _FENCE.finditer(page.read_text("utf-8"))
        ]
        for index, (kind, text, end, _) in enumerate(fences):
            if kind != "sh":
                continue
            following = fences[index + 1] if index + 1 < len(fences) else None
            adjacent = following is not None and following[0] == "json" and following[3] - end <= 1
            answer = json.loads(following[1]) if adjacent and following else None
            for command in re.findall(r"^curl .*?(?:(?=^curl )|\Z)", text, re.DOTALL | re.MULTILINE):
                yield read(page.name, command, answer)


def read(page: str, command: str, answer: Any) -> Example:
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    method, url, headers, data = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(":")
            headers[name] = value.strip()
        elif word == "-d":
            data = next(words)
        else:
            assert word.startswith("http://127.0.0.1:8899/"), word
            url = word
    parts = urlsplit(url)
    return Example(page, method, f"{parts.path}?{parts.query}" if parts.query else parts.path, headers, data, answer)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The API with no settings but the one that docs/webhooks.md asks for to try them out."""
    directory = tmp_path_factory.mktemp("house")
    settings: Settings = load({f"{PREFIX}WEBHOOK_PRIVATE": "1"}, directory)
    settings.recordings_dir.mkdir(parents=True)
    upgrade(settings.database_url)
    app = create_app(settings, doorbell=RememberingBell())
    yield app.test_client()
    house: House = app.extensions[EXTENSION]
    house.ringer.close()
    house.engine.dispose()
    shutil.rmtree(directory)


def test_there_are_examples_of_every_specified_endpoint() -> None:
    shown = {example.path for example in examples()}
    assert shown >= {f"/api/aicall/{name}" for name in ("createTasks", "calltask/list", "records/list", "stopTasks")}


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: f"{example.page}:{example.path}")
def test_an_example_is_answered_as_the_page_shows(client: FlaskClient, example: Example) -> None:
    response = client.open(example.path, method=example.method, headers=example.headers, data=example.data)
    if example.path == "/api/v1/webhooks" and "example.com" in str(example.data):  # nobody can look it up
        assert (response.status_code, response.json["title"]) == (422, "Unprocessable Entity")
        return
    if example.path == "/api/v1/webhooks":
        assert response.status_code == 201, response.json
        assert set(response.json) == set(example.answer)
        return
    assert response.status_code == 200
    assert response.json["code"] in (0, 200), response.json
    if example.answer is not None:
        assert set(response.json) == set(example.answer)
        assert (response.json["code"], response.json["msg"]) == (example.answer["code"], example.answer["msg"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_json_on_a_page_is_json(page: Path) -> None:
    for kind, text in _FENCE.findall(page.read_text("utf-8")):
        if kind == "json":
            json.loads(text)
