"""What docs/playbooks.md shows works as it says."""

from __future__ import annotations

import re
from pathlib import Path

from media.agent import schema
from media.agent.intents import Intent
from media.agent.loading import load_playbook
from media.agent.playbook import Playbook
from media.agent.ticket import FIELDS
from media.agent.tools import TOOL_NAMES

from .conftest import Call

GUIDE = (Path(__file__).parents[3] / "docs" / "playbooks.md").read_text(encoding="utf-8")


def example(directory: Path) -> Playbook:
    found = re.search(r"```markdown\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None
    path = directory / "example.md"
    path.write_text(found[1], encoding="utf-8")
    return load_playbook(path)


def test_the_example_talks(tmp_path: Path) -> None:
    call = Call(example(tmp_path), content="您有一个包裹到了，在小区东门驿站等您领取。").answer()
    call.wait(1.0)
    assert call.listen() == "您好，请问是张三吗？"
    assert "今天方便来取吗" in call.talk("对，是我")
    assert "小区东门驿站" in call.talk("在哪里？")
    assert "哪天来取" in call.talk("今天去不了")
    assert "再见" in call.talk("周六吧")
    assert call.over
    assert call.tags == [("pickup", "周六吧")]


def test_every_field_is_explained() -> None:
    fields = {*schema.Front.__struct_fields__, *schema.Step.__struct_fields__, *FIELDS, *TOOL_NAMES, *Intent}
    assert [name for name in sorted(fields) if not re.search(rf"\b{name}\b", GUIDE)] == []
