"""Reads playbooks from Markdown files with front matter, and says exactly what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from media.agent import schema
from media.agent.intents import Intent
from media.agent.playbook import Outcome, Playbook, PlaybookError, Playbooks, Prompting, Rule, Stop, is_pattern
from media.agent.templates import HEARD, TemplateFault, Text, compile_text
from media.agent.tools import TOOL_NAMES
from media.agent.yaml_lines import YamlFault, load_with_lines
from media.turns import TurnRule
from shared.values import duration

_FENCE = "---"
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_PRESS = re.compile(r"press ([0-9*#])")
ANSWERS: Mapping[Intent, str] = {
    Intent.ASK_WHEN: "{% if when %}时间是{{ when }}。{% else %}{{ ticketContent }}{% endif %}",
    Intent.ASK_WHERE: "{% if where %}地点是{{ where }}。{% else %}不好意思，具体地点我这边还不清楚，您可以留意短信通知。{% endif %}",
    Intent.ASK_WHO: "我是智能语音助手，受托给您打这个电话。",
    Intent.ASK_WHAT: "{{ ticketContent }}",
    Intent.ROBOT: "是的，我是智能语音助手。",
    Intent.HELLO: "您好，听得到的。",
    Intent.THANKS: "不客气。",
}
"""Questions that a playbook need not answer by itself."""
_OUR_OWN = {Intent.OPT_OUT}
"""What a step may not decide: whoever asks not to be called again is not called again."""


def load_playbooks(directory: Path) -> Playbooks:
    """Every ``*.md`` in ``directory``. Raises PlaybookError that names each mistake in each file."""
    paths = sorted(directory.glob("*.md")) if directory.is_dir() else []
    if not paths:
        raise PlaybookError(f"{directory}: expected at least one playbook (*.md); set WAIHU_PLAYBOOKS_DIR")
    playbooks, faults = [], []
    for path in paths:
        try:
            playbooks.append(load_playbook(path))
        except PlaybookError as error:
            faults.append(str(error))
    faults += [] if faults else _between(playbooks, directory)
    if faults:
        raise PlaybookError("\n".join(faults))
    return Playbooks(playbooks)


def load_playbook(path: Path) -> Playbook:
    """One file. Raises PlaybookError. Names of other playbooks in it are not checked."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlaybookError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return _Reader(path, text).read()


def _between(playbooks: list[Playbook], directory: Path) -> list[str]:
    """Mistakes that only show when all are seen together."""
    faults = []
    defaults = [book.path.name for book in playbooks if book.default]
    if len(defaults) != 1:
        named = ", ".join(defaults) or "none"
        faults.append(f"{directory}: expected one playbook with default: true, got {named}")
    by_name = {book.name: book for book in playbooks}
    served: dict[str, str] = {}
    for book in playbooks:
        for entry in book.serves:
            if entry in served:
                faults.append(f"{book.path}: serves: {entry} is already served by {served[entry]}")
            served[entry] = book.path.name
        if book.kind == "llm" and (book.fallback not in by_name or by_name[book.fallback].kind != "scripted"):
            faults.append(f"{book.path}: fallback: expected the name of a scripted playbook, got {book.fallback!r}")
    return faults


class _Reader:
    """Reads one file, and collects what is wrong with it."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._lines: dict[str, int] = {}
        self._offset = 0
        self._faults: list[tuple[int, str]] = []

    def read(self) -> Playbook:
        front, body = self._parse()
        book = self._compile(front, body)
        self._check(front)
        if self._faults:
            raise PlaybookError("\n".join(f"{self._path}:{line}: {message}" for line, message in sorted(self._faults)))
        return book

    # --- parsing ---

    def _parse(self) -> tuple[schema.Front, str]:
        lines = self._text.lstrip("\ufeff").splitlines()
        if not lines or lines[0].strip() != _FENCE:
            raise PlaybookError(f"{self._path}:1: expected front matter that begins with {_FENCE}")
        end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == _FENCE), None)
        if end is None:
            raise PlaybookError(f"{self._path}:1: the front matter has no closing {_FENCE}")
        self._offset = 1
        try:
            value, self._lines = load_with_lines("\n".join(lines[1:end]))
        except YamlFault as fault:
            raise PlaybookError(f"{self._path}:{fault.line + 1}: {fault}") from fault
        try:
            return msgspec.convert(value or {}, schema.Front), "\n".join(lines[end + 1 :]).strip()
        except msgspec.ValidationError as error:
            found = _AT.search(str(error))
            where = found["path"] if found else ""
            said = str(error)[: found.start()] if found else str(error)
            raise PlaybookError(f"{self._path}:{self._line(where)}: {where or 'front matter'}: {said}") from error

    def _line(self, path: str) -> int:
        """The line of a field in the file; msgspec shows the keys of mappings as ``[...]``."""
        while path and path not in self._lines:
            path = re.sub(r"(\[[^\]]*\]|\.?[^.\[\]]+)$", "", path)
        return self._lines.get(path, 1) + self._offset

    def _fault(self, path: str, message: str) -> None:
        self._faults.append((self._line(path), f"{path}: {message}"))

    # --- compiling ---

    def _compile(self, front: schema.Front, body: str) -> Playbook:
        llm = front.kind == "llm"
        return Playbook(
            name=self._path.stem,
            path=self._path,
            serves=tuple(front.serves),
            default=front.default,
            kind=front.kind,
            language=front.language,
            voice=front.voice,
            speed=front.speed,
            volume=front.volume,
            greeting=self._required("greeting", front.greeting),
            hello_wait=self._seconds("hello_wait", front.hello_wait, 0, 5),
            silence=self._prompting("silence", front.silence),
            unclear=self._prompting("unclear", front.unclear),
            goodbye=self._required("goodbye", front.goodbye),
            opt_out=self._required("opt_out", front.opt_out),
            wrong_number=self._required("wrong_number", front.wrong_number),
            callback_ask=self._required("callback.ask", front.callback.ask),
            callback_done=self._required("callback.done", front.callback.done),
            apology=self._required("apology", front.apology),
            failure=self._required("failure", front.failure),
            thinking=self._optional("thinking", front.thinking),
            voicemail=self._optional("voicemail.leave", front.voicemail.leave),
            longest=self._seconds("longest", front.longest, 30, 3600),
            ending=self._required("ending", front.ending),
            turns=TurnRule(
                complete_s=self._seconds("turns.complete", front.turns.complete, 0.05, 5),
                default_s=self._seconds("turns.default", front.turns.default, 0.05, 5),
                cap_s=self._seconds("turns.cap", front.turns.cap, 0.05, 10),
            ),
            answers=self._answers(front.answers),
            start=front.start,
            steps={name: self._step(f"steps.{name}", step) for name, step in front.steps.items()},
            prompt=self._required("prompt", body, (), line=len(self._text.splitlines())) if llm else None,
            tools=tuple(front.tools),
            fallback=front.fallback,
        )

    def _required(self, path: str, source: str, more: Iterable[str] = (), line: int = 0) -> Text:
        text = self._optional(path, source, more, line)
        if text is None and source.strip() == "":
            self._faults.append((line or self._line(path), f"{path}: expected a text, got nothing"))
        return text or compile_text("")

    def _optional(self, path: str, source: str, more: Iterable[str] = (), line: int = 0) -> Text | None:
        if not source.strip():
            return None
        try:
            return compile_text(source, more=more)
        except TemplateFault as fault:
            self._faults.append((line or self._line(path), f"{path}: {fault}"))
            return None

    def _seconds(self, path: str, text: str, least: float, most: float) -> float:
        try:
            seconds = duration(text)
        except ValueError as error:
            self._fault(path, str(error))
            return least
        if not least <= seconds <= most:
            self._fault(path, f"expected {least:g}s to {most:g}s, got {text}")
        return seconds

    def _prompting(self, path: str, patience: schema.Patience) -> Prompting:
        return Prompting(
            after=self._seconds(f"{path}.after", patience.after, 1, 60),
            reprompts=tuple(
                self._required(f"{path}.reprompts[{index}]", text) for index, text in enumerate(patience.reprompts)
            ),
            goodbye=self._required(f"{path}.goodbye", patience.goodbye),
        )

    def _answers(self, given: Mapping[str, str]) -> dict[Intent, Text]:
        answers = {intent: compile_text(source) for intent, source in ANSWERS.items()}
        for name, source in given.items():
            path = f"answers.{name}"
            if name not in ANSWERS:
                self._fault(path, f"expected one of {', '.join(ANSWERS)}")
                continue
            answers[Intent(name)] = self._required(path, source)
        return answers

    def _step(self, path: str, step: schema.Step) -> Stop:
        branches = []
        for key, branch in step.on.items():
            below = f"{path}.on.{key}"
            rule = self._rule(below, key)
            if rule is not None:
                branches.append((rule, self._outcome(below, branch)))
        entering = schema.Branch(say=step.say, tag=step.tag, go=step.go, end=step.end)
        return Stop(
            entering=self._outcome(path, entering),
            again=self._optional(f"{path}.again", step.again),
            branches=tuple(branches),
            otherwise=self._outcome(f"{path}.otherwise", step.otherwise) if step.otherwise else None,
        )

    def _rule(self, path: str, key: str) -> Rule | None:
        press = _PRESS.fullmatch(key)
        if press:
            return Rule("key", key=press[1])
        if key in tuple(Intent):
            if Intent(key) in _OUR_OWN:
                self._fault(path, "is answered by the playbook's own opt_out, in every step")
            return Rule("intent", intent=Intent(key))
        if is_pattern(key):
            try:
                return Rule("pattern", pattern=re.compile(key[1:-1], re.IGNORECASE))
            except re.error as error:
                self._fault(path, f"not a pattern: {error}")
                return None
        if key.isascii() and key.replace("_", "").isalpha() and "_" in key:
            self._fault(path, f"no such intent; expected one of {', '.join(Intent)}")
            return None
        words = tuple(word.strip().lower() for word in key.split("|") if word.strip())
        if not words:
            self._fault(path, "expected an intent, words, /a pattern/ or press 1")
            return None
        return Rule("words", words=words)

    def _outcome(self, path: str, branch: str | schema.Branch) -> Outcome:
        if isinstance(branch, str):
            return Outcome(None, (), branch, False)
        tags = {branch.tag: ""} if isinstance(branch.tag, str) else branch.tag
        return Outcome(
            say=self._optional(f"{path}.say", branch.say, (HEARD,)),
            tags=tuple(
                (name, self._optional(f"{path}.tag", value, (HEARD,)) or compile_text(""))
                for name, value in tags.items()
                if name
            ),
            go=branch.go,
            end=branch.end,
        )

    # --- checking ---

    def _check(self, front: schema.Front) -> None:
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
                re.compile(entry[1:-1])
            except re.error as error:
                self._fault(path, f"not a pattern: {error}")

    def _check_llm(self, front: schema.Front) -> None:
        if front.steps or front.start:
            self._fault("steps" if front.steps else "start", "an llm playbook has no steps; its text is the prompt")
        for index, tool in enumerate(front.tools):
            if tool not in TOOL_NAMES:
                self._fault(f"tools[{index}]", f"expected one of {', '.join(TOOL_NAMES)}, got {tool!r}")
        if not front.fallback:
            self._fault("fallback", "expected the name of the scripted playbook that is used without a language model")

    def _check_scripted(self, front: schema.Front) -> None:
        for name in ("tools", "fallback", "thinking"):
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
