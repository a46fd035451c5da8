"""The documentation and the console, offline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.pages import STATIC
from api.v1_views import _MILESTONES, _TASK_MILESTONES
from shared.lifecycle import CallState, TaskState


def fetch(client: FlaskClient, path: str) -> tuple[int, str]:
    with client.get(path) as response:
        return response.status_code, response.get_data(as_text=True)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_and_all_that_it_names_come_from_here(client: FlaskClient, path: str) -> None:
    status, html = fetch(client, path)
    assert status == 200
    names = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert names
    for name in names:
        assert name.startswith("/"), name
        assert not name.startswith("//"), name
        with client.get(name) as response:
            assert response.status_code == 200, name
    assert "<script>" not in html
    assert " onclick=" not in html


@pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda file: file.name)
def test_our_own_files_name_no_other_site(file: Path) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", file.read_text()))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_enter_in_the_key_dialog_submits_the_key() -> None:
    """Enter presses a form's first submit button, and a button without a type is one."""
    form = (STATIC / "console.html").read_text().partition('<dialog id="key-dialog">')[2].partition("</form>")[0]
    buttons = re.findall(r"<button([^>]*)>", form)
    assert [button for button in buttons if 'type="button"' not in button] == [' value="ok"']


def test_every_element_that_the_console_looks_up_is_in_its_page() -> None:
    html, script = ((STATIC / name).read_text() for name in ("console.html", "console.js"))
    wanted = set(re.findall(r'\bat\("([a-z-]+)"\)', script))
    assert len(wanted) > 10
    assert wanted <= set(re.findall(r'id="([a-z-]+)"', html))


def test_the_console_has_one_word_for_every_state_in_lists_and_in_the_timeline() -> None:
    """A state without one is shown by its English name."""
    script = (STATIC / "console.js").read_text()
    maps = dict(re.findall(r"^const (CALL|STEPS) = \{\n(.*?)^\};", script, re.DOTALL | re.MULTILINE))
    words = {name: re.findall(r'(\w+): "', text) for name, text in maps.items()}
    assert "...CALL" in maps["STEPS"]
    assert set(words["CALL"]) == set(CallState)
    shown = words["CALL"] + words["STEPS"]
    assert len(shown) == len(set(shown))
    milestones = {*CallState, *TaskState, *_MILESTONES.values(), *_TASK_MILESTONES.values()} - {""}
    assert milestones <= set(shown)


def test_files_beside_the_pages_are_not_served(client: FlaskClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/docs/assets/../../__init__.py", "/static/nothing.js"):
        assert fetch(client, path)[0] == 404


def test_the_document_is_openapi_3_0_3_and_covers_every_route(client: FlaskClient, app: Flask) -> None:
    document = client.get("/docs/openapi.json").json
    assert document["openapi"] == "3.0.3"
    served = set()
    for rule in app.url_map.iter_rules():
        page = rule.endpoint.startswith(("pages.", "api-docs."))
        if not page and not rule.endpoint.endswith("_alias"):
            path = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)
            served |= {(path, method.lower()) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    methods = ("get", "post", "put", "patch", "delete")
    documented = {(path, name) for path, item in document["paths"].items() for name in item if name in methods}
    assert documented == served
    assert {path for path, _ in documented} >= {
        "/api/aicall/createTasks",
        "/api/aicall/calltask/list",
        "/api/aicall/stopTasks",
        "/api/aicall/records/list",
        "/recordings/files",
        "/api/phone/events",
        "/api/v1/stats",
        "/healthz",
        "/readyz",
        "/metrics",
    }


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation for path in document["paths"].values() for name, operation in path.items() if name in ("get", "post")
    ]


def test_every_operation_has_a_summary_and_examples_of_what_it_takes_and_gives(client: FlaskClient) -> None:
    document = client.get("/docs/openapi.json").json
    for operation in operations(document):
        assert operation["summary"]
        assert operation["operationId"]
        for response in operation["responses"].values():
            for kind, content in response.get("content", {}).items():
                assert kind == "audio/wav" or "example" in content or "examples" in content
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            assert content["example"]


def test_every_reference_resolves(client: FlaskClient) -> None:
    response = client.get("/docs/openapi.json")
    schemas = response.json["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', response.text))
    assert references <= set(schemas)
    assert set(re.findall(r'"\$ref": "([^"]+)"', response.text)) == {
        f"#/components/schemas/{name}" for name in references
    }


def test_the_documented_examples_are_answered_with_success(client: FlaskClient) -> None:
    document = client.get("/docs/openapi.json").json
    tried = []
    for path, methods in document["paths"].items():
        body = methods.get("post", {}).get("requestBody")
        if body and not path.startswith("/api/v1/"):
            answer = client.post(path, json=body["content"]["application/json"]["example"]).json
            tried.append((path, answer["code"]))
    assert tried == [
        ("/api/aicall/createTasks", 200),
        ("/api/aicall/calltask/list", 200),
        ("/api/aicall/stopTasks", 0),
        ("/api/aicall/records/list", 0),
        ("/api/phone/events", 0),
    ]


def test_answers_have_exactly_the_documented_fields(client: FlaskClient, add_call: Any, add_task: Any) -> None:
    schemas = client.get("/docs/openapi.json").json["components"]["schemas"]
    add_task(batch_id=5, state="completed")
    uuid = add_call(batch_id=5)
    record = client.post("/api/aicall/records/list", json={"callType": "02"}).json["rows"][0]
    task = client.post("/api/aicall/calltask/list", json={"pageNum": 1, "pageSize": 1}).json["rows"][0]
    detail = client.get("/api/v1/tasks/5").json
    answers = {
        "Record": record,
        "Task": task,
        "TaskDetail": detail,
        "CallSummary": detail["calls"][0],
        "CallDetail": client.get(f"/api/v1/calls/{uuid}").json,
        "Stats": client.get("/api/v1/stats").json,
    }
    for name, answer in answers.items():
        assert set(answer) == set(schemas[name]["properties"]), name
