"""Turns a playbook's file into a Playbook, and finds what an author got wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from media.agent import schema
from media.agent.front import FrontFile
from media.agent.intents import Intent
from media.agent.playbook import Outcome, Playbook, Prompting, Rule, Stop, compile_pattern, is_pattern
from media.agent.templates import HEARD, TemplateFault, Text, compile_text
from media.turns import TurnRule
from shared.values import duration

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


class Compiler:
    """Compiles one file. Mistakes are noted in it; what is returned then is not to be used."""

    def __init__(self, file: FrontFile) -> None:
        self._file = file
        self._fault = file.fault

    def compile(self) -> Playbook:
        """The playbook."""
        front = self._file.front
        llm = front.kind == "llm"
        return Playbook(
            name=self._file.path.stem,
            path=self._file.path,
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
            go_ahead=self._required("go_ahead", front.go_ahead),
            apology=self._required("apology", front.apology),
            failure=self._required("failure", front.failure),
            thinking=self._optional("thinking", front.thinking),
            voicemail=self._optional("voicemail.leave", front.voicemail.leave),
            longest=self._seconds("longest", front.longest, 30, 3600),
            unheard=self._required("unheard", front.unheard),
            ending=self._required("ending", front.ending),
            turns=self._turns(front.turns),
            answers=self._answers(front.answers),
            start=front.start,
            steps={name: self._step(f"steps.{name}", step) for name, step in front.steps.items()},
            prompt=self._required("prompt", self._file.body, (), line=self._file.last_line) if llm else None,
            tools=tuple(front.tools),
            outcomes=tuple(front.outcomes),
            fallback=front.fallback,
        )

    def _required(self, path: str, source: str, more: Iterable[str] = (), line: int = 0) -> Text:
        text = self._optional(path, source, more, line)
        if text is None and source.strip() == "":
            self._fault(path, "expected a text, got nothing", line)
        return text or compile_text("")

    def _optional(self, path: str, source: str, more: Iterable[str] = (), line: int = 0) -> Text | None:
        if not source.strip():
            return None
        try:
            return compile_text(source, more=more)
        except TemplateFault as fault:
            self._fault(path, str(fault), line)
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

    def _turns(self, turns: schema.Turns) -> TurnRule:
        complete = self._seconds("turns.complete", turns.complete, 0.05, 5)
        default = self._seconds("turns.default", turns.default, 0.05, 5)
        cap = self._seconds("turns.cap", turns.cap, 0.05, 10)
        if complete <= default <= cap:
            return TurnRule(complete, default, cap)
        got = f"{turns.complete}, {turns.default} and {turns.cap}"
        self._fault("turns", f"expected complete <= default <= cap, got {got}")
        return TurnRule()

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
                return Rule("pattern", pattern=compile_pattern(key, re.IGNORECASE))
            except ValueError as error:
                self._fault(path, str(error))
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
