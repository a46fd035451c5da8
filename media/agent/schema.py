"""The front matter of a playbook, field by field, as its author writes it. docs/playbooks.md explains it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root: a misspelt name is an error."""


class Branch(Part, frozen=True, kw_only=True):
    """What follows from an answer: say something, note tags, then go to a step, or end the call, or listen on."""

    say: str = ""
    tag: str | dict[str, str] = ""
    go: str = ""
    end: bool = False


class Step(Part, frozen=True, kw_only=True):
    """One place of a scripted dialogue.

    ``say`` is spoken on entering. With ``on`` the customer is then listened to: its keys are intents (``yes``,
    ``callback``, …), words (``满意|不错``), a pattern (``/[1-5]分/``) or a key of the phone (``press 1``); its values are
    branches, or just the name of a step. ``otherwise``: for any other answer. ``again``: the short form of the question.
    """

    say: str = ""
    again: str = ""
    on: dict[str, str | Branch] = {}
    otherwise: str | Branch = ""
    tag: str | dict[str, str] = ""
    go: str = ""
    end: bool = False


class Patience(Part, frozen=True, kw_only=True):
    """What is said when the customer says nothing, or nothing that is understood: each of ``reprompts`` once, then
    ``goodbye``. ``after``: how long a silence lasts before that."""

    after: str = "6s"
    reprompts: tuple[str, ...]
    goodbye: str


class Silence(Patience, frozen=True, kw_only=True):
    """See Patience."""

    reprompts: tuple[str, ...] = ("您好，请问您还在听吗？",)
    goodbye: str = "好像听不到您的声音，那先不打扰您了，再见。"


class Unclear(Patience, frozen=True, kw_only=True):
    """See Patience."""

    reprompts: tuple[str, ...] = ("不好意思，我没有听清，请您再说一遍，好吗？", "不好意思，还是没有听清。")
    goodbye: str = "不好意思，我这边没有听清楚，就先不打扰您了，再见。"


class Voicemail(Part, frozen=True, kw_only=True):
    """``leave``: what is said after the tone. Without it a mailbox is hung up on."""

    leave: str = ""


class Callback(Part, frozen=True, kw_only=True):
    """A wish to be called later: ``ask`` when, then ``done``."""

    ask: str = "好的，那我们换个时间再联系您。请问您什么时候方便呢？"
    done: str = "好的，已经帮您记下了。不打扰您了，再见。"


class Turns(Part, frozen=True, kw_only=True):
    """How long after the customer's last word the turn is ours: when the sentence sounds complete, otherwise, at most."""

    complete: str = "300ms"
    default: str = "600ms"
    cap: str = "1200ms"


class Front(Part, frozen=True, kw_only=True):
    """The whole front matter."""

    serves: list[str] = []
    default: bool = False
    kind: Literal["scripted", "llm"]
    language: str = "zh-CN"
    voice: str = ""
    speed: float = 1.0
    volume: int = 5
    greeting: str
    hello_wait: str = "800ms"
    silence: Silence = Silence()
    unclear: Unclear = Unclear()
    goodbye: str = "好的，感谢您的接听，再见。"
    opt_out: str = "好的，非常抱歉打扰您，以后不会再给您打电话了，再见。"
    wrong_number: str = "不好意思，打扰您了，再见。"
    callback: Callback = Callback()
    go_ahead: str = "好的，您请说。"
    apology: str = "不好意思，线路不太稳定，请您稍等一下。"
    failure: str = "不好意思，我们的系统出了点问题，稍后再和您联系，再见。"
    thinking: str = ""
    voicemail: Voicemail = Voicemail()
    longest: str = "5m"
    unheard: str = "看来您现在不太方便，那就先不打扰您了，再见。"
    ending: str = "不好意思，今天的通话时间快到了，感谢您的接听，再见。"
    turns: Turns = Turns()
    answers: dict[str, str] = {}
    start: str = ""
    steps: dict[str, Any] = {}
    """Step objects once the file is read; each is converted by itself, so that a mistake is found where it is."""
    tools: list[str] = []
    outcomes: list[str] = []
    fallback: str = ""
