"""How a person behaves on the phone, as data: the schema of manners in `manners.yaml` and in scenario files.

All times are seconds. Texts are spoken word for word; `hears` lists match as parts of what was heard.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9*#A-D]{1,32}\Z")]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a manner: immutable, by keyword, and a misspelt name is an error."""


class Reply(Part, frozen=True, kw_only=True):
    """What to do after the robot's turn, if any of `hears` was in it. An empty `hears` matches every turn."""

    hears: tuple[str, ...] = ()
    says: str = ""
    presses: Digits | None = None
    hangs_up: bool = False
    again: bool = False
    """Whether the reply may be given more than once in a call."""


class Interruption(Part, frozen=True, kw_only=True):
    """Starts to talk `after` seconds into a sentence of the robot, from number `sentence` on (the first is 1), once."""

    says: Line
    after: Seconds = 1.0
    sentence: int = 1


class Murmur(Part, frozen=True, kw_only=True):
    """A short sound while listening, which asks for nothing: 嗯, a cough.

    Comes `after` seconds into a sentence of the robot, from number `sentence` on, at most `times` in a call.
    """

    says: str = ""
    sound: Literal["", "cough"] = ""
    after: Seconds = 1.0
    sentence: int = 1
    times: int = 2


class Departure(Part, frozen=True, kw_only=True):
    """Hangs up without a word: `after` seconds from the answer (`sentence` 0), or into a sentence of the robot, from
    number `sentence` on."""

    after: Seconds
    sentence: int = 0


class Mailbox(Part, frozen=True, kw_only=True):
    """Not a person but a machine: a prompt, a 1 kHz beep, then a recording that ends the call when it is full."""

    prompt: Line
    beep: Seconds = 0.5
    records: Seconds = 12.0


class Manner(Part, frozen=True, kw_only=True):
    """One way to behave. The defaults are a polite person who answers, says hello, and agrees to everything."""

    about: str = ""
    answers: Literal["yes", "never", "refused"] = "yes"
    from_attempt: int | None = None
    """The first call to this number that is answered although `answers` says otherwise."""
    ring: Seconds | None = None
    """Seconds from the first ring to the answer; None: the phone system's own setting."""
    greeting: str = "喂，你好。"
    greeting_after: Seconds = 0.4
    turn_wait: tuple[Seconds, Seconds] = (0.4, 0.7)
    """How long the robot must have been quiet before this person takes the turn: least and most."""
    replies: tuple[Reply, ...] = ()
    otherwise: tuple[str, ...] = ("嗯，好的。",)
    """Said, one after another and from the start again, when no reply matches. Empty: says nothing then."""
    interruption: Interruption | None = None
    murmur: Murmur | None = None
    departure: Departure | None = None
    mailbox: Mailbox | None = None
    talks_over: tuple[str, ...] = ()
    """Said one after another with short breaths, whatever the robot does; then hangs up."""
    noise_dbfs: Annotated[float, msgspec.Meta(ge=-90, le=-20)] = -60.0
    silent: bool = False
    """Never says a word and never hangs up."""
    patience: Seconds = 7.0
    """Seconds in which nobody speaks before this person asks whether anyone is there."""
    checks: tuple[str, ...] = ("喂？听得到吗？", "喂？")
    """What is asked then, once each; after the last one the person hangs up."""

    def lines(self) -> list[str]:
        """Every text that a person of this manner may say, so that it can be synthesised before it is needed."""
        lines = [self.greeting, *(reply.says for reply in self.replies), *self.otherwise, *self.talks_over, FAREWELL]
        lines += [part.says for part in (self.interruption, self.murmur) if part is not None]
        if self.mailbox is not None:
            lines = [self.mailbox.prompt]
        return list(dict.fromkeys(line for line in lines if line and not self.silent))


FAREWELL = "好的，再见。"
"""The answer to a goodbye that no reply of the manner covers."""
