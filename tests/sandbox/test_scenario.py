from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.phone.faults import NONE
from sandbox.phone.settings import CallerLimit
from sandbox.scenario import MAX_FILE_BYTES, ScenarioError, decode_scenario, load_scenario

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "scenarios"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_understood(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.directory.find("13800000001")[0]


def test_own_people_answer_own_numbers() -> None:
    scenario = load_scenario(EXAMPLES / "own-people.yaml")
    assert scenario.directory.find("13800138000")[0] == "teacher"
    assert scenario.directory.find("13912345678")[1].noise_dbfs == -45
    assert scenario.directory.find("13912345679")[2].loses("firstAnswer")
    assert scenario.directory.find("13912340000")[0] == "busy"
    assert scenario.phone.limit_of("057128167421") == CallerLimit(concurrency=10, cps=5)
    assert scenario.phone.limit_of("1001") == CallerLimit()


def test_an_empty_file_is_the_built_in_scenario(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    scenario = load_scenario(path)
    assert scenario.faults == NONE
    assert scenario.directory.find("13800000009")[0] == "refuser"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "mapping"),
        ({"peeple": {}}, "peeple"),
        ({"phone": {"rings": 1}}, "rings"),
        ({"phone": {"ring": "soon"}}, "ring"),
        ({"faults": {"startcall": "explode"}}, "startcall"),
        ({"numbers": {"*1": "nobody"}}, "nobody"),
    ],
)
def test_what_cannot_be_understood_is_named(document: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        decode_scenario(document)


@pytest.mark.parametrize("body", [b"a: [", b"\xff\xfe\xfa", b"x" * (MAX_FILE_BYTES + 1)])
def test_a_file_that_is_no_scenario_is_refused_by_name(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(body)
    with pytest.raises(ScenarioError, match=r"bad\.yaml"):
        load_scenario(path)
