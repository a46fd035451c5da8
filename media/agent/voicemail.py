"""Is it a person who answered, or a machine? From the first words and their timing. Pure.

Chinese networks answer for a phone that is off or busy with an announcement; phones and operators answer with a
mailbox or a secretary robot, companies with a menu. People use the same words of themselves and of others ("我电话关机了",
"我转告他"), and whoever is hung up on in mid-sentence was a customer: so what only a machine says counts at once, what
both say counts by how it is said. "Unsure" is an answer too: the agent keeps talking then.
"""

from __future__ import annotations

import re
from enum import Enum

WINDOW_MS = 20_000
"""A machine shows itself at once. Later in a call the same words come from people ("我给你留言")."""
MONOLOGUE_MS = 5_000
"""Nobody who says hello talks for so long; mailbox greetings last 6 to 15 s."""
PAUSE_MS = 1_500
"""Who falls silent for so long has let us speak, and what follows is an answer to it: announcements pause for less."""
SHORT_MS = 2_500
SHORT_LENGTH = 10
"""A first utterance within these is a person's: 喂，你好，哪位。"""


class Verdict(Enum):
    """What answered."""

    HUMAN = "human"
    MACHINE = "machine"
    UNSURE = "unsure"


def _rule(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_MARKS = re.compile(r"[\s，。、！？,.!?；;：:“”\"'…—-]+")
_KEY = "(?:[0-9一二三四五六七八九零井星#*]|任意键)"
_TONE = "(?:提示音|[嘀滴哔嘟](?:的)?一?声)"
_OWNER = "(?:机主|主人|号主)(?:现在|暂时|目前|当前|正在|正|可能)*"
_ROBOT = (
    "(?:ai|智能|语音|通话|电话|来电|代接)(?:ai|智能|语音|通话|电话|来电|代接|应答|接听|小|型|的|个人|专属|私人){0,3}"
    "(?:助手|助理|秘书|管家)"
)
_CERTAIN = _rule(
    # the network
    r"您(?:所)?(?:拨打|呼叫|拨叫|拨)的(?:用户|机主|客户)",
    r"您(?:所)?(?:拨打|呼叫|拨叫|拨)的(?:电话|手机|分机)?(?:号码)?(?:已(?:经)?[关停欠过启设暂转被]|正在?(?:通话|忙)|暂(?:时)?[无不]|无[法人应]|不能接|不存在|不在|不方便|是空号|为空号|空号|关机|停机|忙|有误)",
    r"您的(?:电话|手机|号码)(?:已|因)(?:经)?(?:欠费|停机|暂停|被)|您的话费(?:余额)?不足|您的来电正在排队",
    r"(?:subscriber|number|phone|person)you(?:have|had|are|'?re)?(?:dial|call|trying)|callhasbeenforwarded",
    # mailboxes
    rf"请(?:您)?在(?:听到)?{_TONE}|{_TONE}(?:响)?(?:之|以)?后.{{0,6}}(?:留言|录音|讲话|留下)",
    r"(?<![你我他她的])语音信箱|留言信箱|(?:这里是|欢迎使用|进入).{0,8}(?:信箱|留言)|(?:录音|留言)(?:完毕|结束)(?:后|请)",
    r"(?:afterthe|att?the)(?:tone|beep)|(?:leave|record)(?:me|us)?(?:a|your)(?:short|brief)?(?:name|message)|reachedthe(?:voice)?mail|automatedvoice|can'?tcometothephone|totake(?:your|the)call",
    # secretaries: of phones, and of operators
    rf"(?:我是|这里是|这是)(?!不|说|问|想|在)[^你您]{{0,8}}{_ROBOT}|(?:由|与|和)[^你您我]{{0,4}}{_ROBOT}(?:为您|代接|接听|对话|通话|服务)|我是(?:小爱同学|小秘书)",
    r"(?<!你是)(?<!您是)(?<!不是)(?:移动|联通|电信|广电|通信)(?:通信|智能|语音)?小?(?:秘书|助理)(?:$|为您|提醒|请|将|会|已)|漏话提醒",
    rf"{_OWNER}(?:不方便|不便|无法|不能|没法)(?:接|应答)|{_OWNER}(?:不在|不方便|忙|没空).{{0,4}}(?:请问您|您(?:可以|有))|找(?:机主|主人)(?:有)?(?:什么|啥|何)事",
    r"(?:会|可以|帮您|替您|为您).{0,6}(?:转告|转达|告知|通知)(?:给)?(?:机主|主人|号主)|您的(?:留言|来电)(?:我)?(?:已|会|将)",
    # menus
    rf"请按{_KEY}|(?:服务|咨询|查询|投诉|人工|中文|英文|业务|等待|退出|返回|结束|留言|挂断)按{_KEY}|请直?拨(?:分机|{_KEY}|总机)|[坐座]席(?:全|均|都|正)?忙|forenglish|press(?:[0-9]|one|two)",
)
"""What no person says."""
_PERSONAL = re.compile(r"[我咱他她]|你(?!好)|[啊呀呢吧嘛哦谁]|喂|什么|怎么|刚才|刚刚|之前|昨天")
"""Announcements speak of nobody but 您, and in full sentences."""
_OF_US = re.compile(r"我们(?=将|会|的(?:工作|营业|服务)时间)")
_ANNOUNCEMENT = _rule(
    r"(?:用户|对方)(?:已|正在|暂时|现在)?(?:关机|停机|通话中|忙|无应答|无法|不在)|(?:暂时)?无法接[听通]|(?:暂时)?无人接听|不在服务区|呼叫转移|转接中",
    r"(?:电话|号码)(?:已|正在|暂时|是)?(?:关机|停机|空号|通话中).{0,4}(?:请|sorry)|请(?:您)?(?:稍后再拨|(?:核对|查证)后再拨)",
    r"notinservice|poweredoff|redial|voicemail|mailbox|notavailabletotake",
)
_MAILBOX = _rule(
    r"(?<!微信)(?<!短信)请(?:您)?(?:在.{0,12})?留言|请(?:您)?留下(?:您的)?(?:口信|留言)",
    r"无法接听您的(?:来电|电话).{0,12}(?:请|稍后|尽快)|请(?:您)?说明(?:您的)?来意",
)
_COLLOQUIAL = re.compile(r"[他她啊呀呢吧嘛]|你(?!好)|微信|短信|刚才|刚刚|之前|昨天")
"""Whose own mailbox it is says 我 on it, but neither talks to 你 nor of others."""
_HINTS = tuple(
    map(
        re.compile,
        (
            "(?:感谢|欢迎)(?:您的?)?(?:来电|致电|拨打)",
            "(?:下班|工作|营业|休息|节假日)时间|非工作",
            "(?:不便|不能|无法|不方便)接听",
            "留言|留下",
            "(?:尽快|第一时间|及时).{0,6}(?:回电|回复|联系)",
            "(?:不要|请勿)挂机|请稍候|转接",
            "通话.{0,4}录音|录音",
            "短信|拨打|再拨",
        ),
    )
)
"""Any one of these is said by people, too; two of them, in one long breath and of nobody in particular, are read out."""


class AnswerDetector:
    """One call's. Feed it what is recognised, partial or final; it never goes back from MACHINE."""

    def __init__(self) -> None:
        self.verdict = Verdict.UNSURE
        self._sentences: dict[int, str] = {}
        self._begin: int | None = None
        """Of the utterance that goes on."""
        self._first = self._until = 0
        """Its first sentence, and where what was heard of it ended."""
        self._listens = False
        """It has fallen silent for us before."""

    def hear(self, index: int, text: str, start_ms: int, end_ms: int, *, final: bool) -> Verdict:
        """Sentence ``index`` as understood so far; times in ms since the answer. Returns the verdict by now."""
        if self.verdict is Verdict.MACHINE or start_ms > WINDOW_MS:
            return self.verdict
        if self._begin is None:
            self._begin, self._first = start_ms, index
        elif index not in self._sentences and start_ms - self._until >= PAUSE_MS:
            self._begin, self._first, self._listens = start_ms, index, True
        self._until = max(self._until, end_ms)
        self._sentences[index] = _MARKS.sub("", text)
        said = "".join(self._sentences[key] for key in sorted(self._sentences) if key >= self._first)
        length = end_ms - self._begin
        whole = final or length >= MONOLOGUE_MS
        if _CERTAIN.search(said) or (whole and not self._listens and _read_out(said, length)):
            self.verdict = Verdict.MACHINE
        elif final and said and (self._listens or (length <= SHORT_MS and len(said) <= SHORT_LENGTH)):
            self.verdict = Verdict.HUMAN
        return self.verdict


def _read_out(said: str, length_ms: int) -> bool:
    """Whether words that people use too are used as a machine uses them."""
    if _MAILBOX.search(said) and not _COLLOQUIAL.search(said):
        return True
    if _PERSONAL.search(_OF_US.sub("", said)):
        return False
    hints = sum(hint.search(said) is not None for hint in _HINTS)
    return _ANNOUNCEMENT.search(said) is not None or (length_ms >= MONOLOGUE_MS and hints > 1)
