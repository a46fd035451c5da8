"""What an answer of the customer's asks of us, whatever the playbook. Pure."""

from __future__ import annotations

import re
from collections.abc import Set

from media.agent.intents import Intent, intents

_HELLOS = {Intent.HELLO, Intent.BACKCHANNEL}
_BEFORE_GREETING = {Intent.WRONG_NUMBER, Intent.CALLBACK, Intent.GOODBYE}
_QUESTIONS = {Intent.ASK_WHEN, Intent.ASK_WHERE, Intent.ASK_WHO, Intent.ASK_WHAT, Intent.ROBOT}
_OPINIONS = {Intent.YES, Intent.NO}
_ANSWERS = {*_OPINIONS, Intent.THANKS, Intent.OPT_OUT}
"""After our goodbye they take up what was said before it, and leave nothing open."""

_WAIT = re.compile(
    r"等一?下(?!再)|等等|等会儿?(?!再)|稍等|慢着|且慢|(?:先)?(?:别|不要|不能)(?:先)?挂(?:断|电话|机|啊|呀)?|先别|"
    r"还有(?:一?[个件点])(?:问题|事情?)|还有问题|没有?(?:说|问|讲)完|(?:我|再|还)想?再?问(?:一下|一句|一?个|你|您)|"
    r"\b(?:wait|hold on|hang on|don't hang up|one more thing|not finished)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"[?？吗]|多少|什么|啥|怎么|(?<!好)几|谁|哪|多[久远长大]|能不能|可不可以|是不是|有没有|要不要|\b(?:how|what|why|can|which)\b",
    re.IGNORECASE,
)
_CORRECTION = re.compile(r"不对|不是|[说搞弄记听]错|错了|我是说|我说的是|\b(?:wrong|actually|i meant)\b", re.IGNORECASE)
_COURTESIES = re.compile(
    r"没(?:有)?(?:什么|啥|别的|其他)?(?:事情?|问题)了?|没有?了|不用了?|不需要了?|不客气|不好意思|不了|打扰了?|就这样|那就|"
    r"(?:到时候?|回头|明天|下次|改天|后天)见|祝[你您]?(?:生活|工作)?(?:愉快|顺利)?|慢走|谢谢|多谢|感谢|谢了?|辛苦|麻烦|"
    r"知道|明白|了解|清楚|收到|记住|可以|再见|拜+|挂|你好|您好|也是|"
    r"[好行嗯恩哦噢喔唔呃额啊喂对是的了吧呢啦哈哒嘞呀哎欸那先你您我就也太都]|"
    r"\b(?:ok(?:ay)?|bye|goodbye|thanks?|thank you|you|too|yes|yeah|no|sure|alright|great|good|got it|fine)\b",
    re.IGNORECASE,
)
_SOMETHING = 2
"""Letters beside courtesies that say something."""


def only_hello(found: Set[Intent]) -> bool:
    """A hello and nothing else."""
    return bool(found) and found <= _HELLOS


def wants_no_greeting(found: Set[Intent]) -> bool:
    """Whoever says so with the first words is answered, not greeted."""
    return bool(found & _BEFORE_GREETING)


def asks_to_wait(said: str) -> bool:
    """Whether our goodbye came too early for the customer: 等一下，先别挂."""
    return _WAIT.search(said) is not None


def meant_after_goodbye(said: str) -> tuple[Intent, ...]:
    """As ``intents``, where nothing was asked: 不要挂 is no no, and "可以带孩子吗" no yes."""
    found = intents(_WAIT.sub("，", said))
    return tuple(one for one in found if one not in _OPINIONS) if _QUESTION.search(said) else found


def wants_an_answer(said: str, found: Set[Intent]) -> bool:
    """Also after our goodbye, where courtesies need none, nor a yes or no that takes up what was said before it."""
    if Intent.GOODBYE in found:
        return False
    if Intent.REPEAT in found or asks_to_wait(said):
        return True
    if sum(map(str.isalnum, _COURTESIES.sub("", said))) < _SOMETHING:
        return False
    if found & _QUESTIONS or _QUESTION.search(said) or _CORRECTION.search(said):
        return True
    return not found & _ANSWERS
