"""What must hold between the fields of a playbook: steps that exist and lead somewhere, and nothing that has no effect."""

from __future__ import annotations

from collections.abc import Mapping

from media.agent import schema
from media.agent.front import FrontFile
from media.agent.playbook import compile_pattern, is_pattern
from media.agent.tools import OUTCOME, TOOL_NAMES


class Checker:
    """Checks one file; mistakes are noted in it."""

    def __init__(self, file: FrontFile) -> None:
        self._file = file
        self._fault = file.fault

    def check(self) -> None:
        """All of it."""
        front = self._file.front
        if not 0.5 <= front.speed <= 2.0:
            self._fault("speed", f"expected 0.5 to 2.0, got {front.speed:g}")
        if not 1 <= front.volume <= 10:
            self._fault("volume", f"expected 1 to 10, got {front.volume}")
        for index, entry in enumerate(front.serves):
            self._check_served(f"serves[{index}]", entry)
        if front.kind == "llm":
            self._check_llm(front)
        else:
            self._check_scripted(front)

    def _check_served(self, path: str, entry: str) -> None:
        if not entry.strip():
            self._fault(path, "expected a ticket type, got nothing")
        if is_pattern(entry):
            try:
                compile_pattern(entry)
            except ValueError as error:
                self._fault(path, str(error))

    def _check_llm(self, front: schema.Front) -> None:
        if front.steps or front.start:
            self._fault("steps" if front.steps else "start", "an llm playbook has no steps; its text is the prompt")
        for index, tool in enumerate(front.tools):
            if tool not in TOOL_NAMES:
                self._fault(f"tools[{index}]", f"expected one of {', '.join(TOOL_NAMES)}, got {tool!r}")
        for index, outcome in enumerate(front.outcomes):
            if OUTCOME.fullmatch(outcome) is None:
                self._fault(f"outcomes[{index}]", f"expected lower-case letters, digits and _, got {outcome!r}")
        if not front.fallback:
            self._fault("fallback", "expected the name of the scripted playbook that is used without a language model")

    def _check_scripted(self, front: schema.Front) -> None:
        for name in ("tools", "outcomes", "fallback", "thinking"):
            if getattr(front, name):
                self._fault(name, "only an llm playbook has it")
        if front.start not in front.steps:
            self._fault("start", f"expected the name of a step ({', '.join(front.steps)}), got {front.start!r}")
        for name, step in front.steps.items():
            self._check_step(f"steps.{name}", step, front.steps)

    def _check_step(self, path: str, step: schema.Step, steps: Mapping[str, schema.Step]) -> None:
        listens = bool(step.on) or bool(step.otherwise)
        if listens + bool(step.go) + step.end != 1:
            self._fault(path, "expected one of on (and otherwise), go, end")
        if step.go and self._circles(step.go, steps):
            self._fault(f"{path}.go", "leads round in a circle without listening")
        branches = {f"{path}.on.{key}": branch for key, branch in step.on.items()}
        branches |= {f"{path}.otherwise": step.otherwise, f"{path}.go": step.go}
        for below, branch in branches.items():
            target = branch if isinstance(branch, str) else branch.go
            if target and target not in steps:
                self._fault(below, f"no step {target!r}; expected one of {', '.join(steps)}")
            if isinstance(branch, schema.Branch) and branch.go and branch.end:
                self._fault(below, "expected either go or end, got both")
            if branch == "" and ".on." in below:
                self._fault(below, "expected the name of a step, or say, tag, go, end")

    def _circles(self, name: str, steps: Mapping[str, schema.Step]) -> bool:
        seen: set[str] = set()
        while name in steps and steps[name].go:
            if name in seen:
                return True
            seen.add(name)
            name = steps[name].go
        return False
