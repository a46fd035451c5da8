from __future__ import annotations

import pytest

from sandbox.people.directory import Directory, DirectoryError, by_number, check_pattern, decode_people
from sandbox.phone.faults import NONE, Faults


@pytest.mark.parametrize(
    ("number", "manner"),
    [("13800000001", "talker"), ("057188000012", "absent"), ("+8613800000013", "barred"), ("15101613608", "talker")],
)
def test_the_last_digits_choose_the_manner(number: str, manner: str) -> None:
    assert Directory().find(number)[0] == manner


def test_an_own_number_goes_before_its_last_digits_and_longer_ones_before_shorter() -> None:
    people = decode_people({"numbers": {"*1": "busy", "*001": "silent", "13800000001": "leaver"}}, "test")
    directory = Directory(people)
    assert directory.find("13800000001")[0] == "leaver"
    assert directory.find("13900000001")[0] == "talker"  # the built-in *0001 is longer than *001
    assert directory.find("13900001001")[0] == "silent"
    assert directory.find("13900000091")[0] == "busy"


def test_an_entry_can_bring_faults() -> None:
    people = decode_people({"numbers": {"*77": {"manner": "busy", "faults": {"wrong_echo": True}}}}, "test")
    assert Directory(people).find("1377") == ("busy", Directory().manner("busy"), Faults(wrong_echo=True))
    assert Directory(people).find("13800000001")[2] == NONE


def test_a_manner_of_the_scenario_replaces_a_built_in_one() -> None:
    people = decode_people({"manners": {"talker": {"greeting": "谁啊？"}}, "default": "silent"}, "test")
    directory = Directory(people)
    assert directory.find("13800000001")[1].greeting == "谁啊？"
    assert directory.find("999")[0] == "silent"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"numbers": {"*1": "nobody"}}, "'nobody'"),
        ({"numbers": {"abc": "talker"}}, "'abc'"),
        ({"default": "nobody"}, "default"),
        ({"manners": {"odd": {"greting": "喂"}}}, "greting"),
        ({"manners": {"odd": {"noise_dbfs": 3}}}, "noise_dbfs"),
        ({"manners": {"odd": {"replies": [{"presses": "x"}]}}}, "presses"),
        ({"numbers": {"*1": {"manner": "talker", "faults": {"startcall": "explode"}}}}, "startcall"),
        ([], "object"),
    ],
)
def test_what_cannot_be_understood_is_named(document: object, message: str) -> None:
    with pytest.raises(DirectoryError, match=message):
        Directory(decode_people(document, "test"))


def test_patterns() -> None:
    assert by_number("123", {"*3": 1, "*23": 2, "124": 3}) == 2
    assert by_number("123", {"*4": 1}) is None
    assert check_pattern("*0001") == "*0001"
    with pytest.raises(DirectoryError):
        check_pattern("*")


def test_the_table_names_every_pattern_with_its_faults() -> None:
    rows = {row["number"]: row for row in Directory().table()}
    assert rows["*0009"]["manner"] == "refuser"
    assert rows["*0040"]["faults"] == "startcall=empty"
    assert rows["others"]["manner"] == "talker"
