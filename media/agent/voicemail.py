"""Is it a person who answered, or a machine? From the first words and their timing. Pure.

Chinese networks answer for a phone that is off or busy with an announcement; phones and operators answer with a
mailbox or a secretary robot. "Unsure" is an answer too: the agent keeps talking then.
"""

from __future__ import annotations

import re
from enum import Enum

WINDOW_MS = 20_000
"""A machine shows itself at once. Later in a call the same words come from people ("我给你留言")."""
MONOLOGUE_MS = 5_000
"""Nobody who says hello talks for so long; mailbox greetings last 6 to 15 s."""
PAUSE_MS = 1_500
"""Who falls silent for so long has let us speak: what follows is another utterance, and of a person more likely than not."""
SHORT_MS = 2_500
SHORT_LENGTH = 10
"""A first utterance within these is a person's: 喂，你好，哪位。"""


class Verdict(Enum):
    """What answered."""

    HUMAN = "human"
    MACHINE = "machine"
    UNSURE = "unsure"


_MARKS = re.compile(r"[\s，。、！？,.!?；;：:“”\"'…—-]+")
_NETWORK = re.compile(
    r"您?(?:所)?(?:拨打|呼叫|拨)的(?:用户|电话|号码|机主|手机)|用户(?:已|正在|暂时|是)?(?:关机|停机|通话中|无法接通|不在服务区)|号码(?:是|为)空号|对方(?:已|正在|暂时)?(?:关机|通话中|无法接通)|"
    r"(?:暂时)?无法(?:接听|接通|应答)|请(?:您)?稍后再拨|不在服务区|呼叫转移|转接中|"
    r"subscriberyoudialed|numberyouhavedialed|numberyoudialed|notinservice|poweredoff",
    re.IGNORECASE,
)
_MAILBOX = re.compile(
    r"提示音(?:后|之后|响)|(?:嘀|滴|哔|嘟)(?:的)?一?声(?:后|之后)|语音信箱|留言信箱|语音留言|请(?:您)?(?:在.{0,12})?留言|留下(?:您的)?(?:口信|留言|姓名)|(?:录音|留言)(?:完毕|结束)(?:后|请)|"
    r"afterthe(?:tone|beep)|attthe(?:tone|beep)|atthe(?:tone|beep)|leave(?:me|us)?a(?:short|brief)?message|leaveyour(?:name|message)|voicemail|mailbox|"
    r"(?:unable|notable|not available)totake(?:your|the)call|can'tcometothephone|cantcometothephone",
    re.IGNORECASE,
)
_SECRETARY = re.compile(
    r"(?:我是|这里是).{0,10}(?:智能|语音|通话|电话|来电|通信|ai)(?:\w{0,4})(?:助[手理]|秘书|管家)|来电(?:秘书|助手)|漏话提醒|"
    r"机主(?:现在|暂时|目前)?(?:不在|不方便|没空|正忙|无法)|(?:我)?(?:会|可以|帮您|替您).{0,4}(?:转告|转达|告知|通知)(?:给)?机主",
    re.IGNORECASE,
)
_CERTAIN = re.compile(
    r"您(?:所)?(?:拨打|呼叫|拨)的|提示音|语音信箱|afterthe(?:tone|beep)|number(?:youhave|you)dial", re.IGNORECASE
)
"""What not even a person who said hello first would say."""
_HINT = re.compile(r"留言|机主|按[0-9一二三四五六七八九零井星]|message|press[0-9]|unavailable", re.IGNORECASE)
_WEAK_HINTS = tuple(map(re.compile, ("接听", "转告|转达|告知", "来电", "留下", "号码")))
"""Of these a receptionist says one, and a stranger another: 有什么事我帮您转告他, 你怎么知道我号码."""


class AnswerDetector:
    """One call's. Feed it what is recognised, partial or final; it never goes back from MACHINE."""

    def __init__(self) -> None:
        self.verdict = Verdict.UNSURE
        self._sentences: dict[int, str] = {}
        self._begin: int | None = None
        """Of the utterance that goes on."""
        self._first = self._until = 0
        """Its first sentence, and where what was heard of it ended."""

    def hear(self, index: int, text: str, start_ms: int, end_ms: int, *, final: bool) -> Verdict:
        """Sentence ``index`` as understood so far; times in ms since the answer. Returns the verdict by now."""
        if self.verdict is Verdict.MACHINE or start_ms > WINDOW_MS:
            return self.verdict
        if self._begin is None or (index not in self._sentences and start_ms - self._until >= PAUSE_MS):
            self._begin, self._first = start_ms, index
        self._until = max(self._until, end_ms)
        self._sentences[index] = _MARKS.sub("", text)
        said = "".join(self._sentences[key] for key in sorted(self._sentences) if key >= self._first)
        length = end_ms - self._begin
        unsure = self.verdict is Verdict.UNSURE
        talks_on = length >= MONOLOGUE_MS and _hints(said)
        if _CERTAIN.search(said) or (unsure and (talks_on or _sounds_like_machine(said))):
            self.verdict = Verdict.MACHINE
        elif unsure and final and length <= SHORT_MS and 0 < len(said) <= SHORT_LENGTH:
            self.verdict = Verdict.HUMAN
        return self.verdict


def _hints(said: str) -> bool:
    return _HINT.search(said) is not None or sum(hint.search(said) is not None for hint in _WEAK_HINTS) > 1


def _sounds_like_machine(said: str) -> bool:
    return any(rule.search(said) for rule in (_NETWORK, _MAILBOX, _SECRETARY))
