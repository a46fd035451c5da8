"""What a customer means, from the words alone: the intents that every playbook understands. Pure.

Keyword rules for Chinese and English, written for short spoken answers as a recogniser delivers them. Order matters
where one answer holds several: a wish not to be called outranks all else, and "不用了，谢谢，再见" is a no.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from media.agent.opt_out import asks_not_to_be_called


class Intent(StrEnum):
    """Names as playbooks write them."""

    OPT_OUT = "opt_out"
    WRONG_NUMBER = "wrong_number"
    CALLBACK = "callback"
    ASK_WHEN = "ask_when"
    ASK_WHERE = "ask_where"
    ASK_WHO = "ask_who"
    ASK_WHAT = "ask_what"
    ROBOT = "robot"
    REPEAT = "repeat"
    GOODBYE = "goodbye"
    NO = "no"
    YES = "yes"
    THANKS = "thanks"
    HELLO = "hello"
    BACKCHANNEL = "backchannel"


def intents(text: str) -> tuple[Intent, ...]:
    """Every intent found in ``text``, the most pressing first. Empty for what says nothing that we know."""
    plain = _plain(text)
    if not plain:
        return ()
    if _BACKCHANNEL.fullmatch(plain):
        return (Intent.BACKCHANNEL,)
    found = [Intent.OPT_OUT] if asks_not_to_be_called(plain) else []
    found += [intent for intent, rule in _RULES if rule.search(plain)]
    found += [answer] if (answer := _answer(plain)) else []
    if not found and _HELLO.fullmatch(plain):
        return (Intent.HELLO,)
    return tuple(sorted(found, key=_ORDER.index))


def is_acknowledgement(text: str) -> bool:
    """Whether it says no more than that somebody listens: 嗯, 好的, 喂你好."""
    found = set(intents(text))
    return bool(found) and found <= {Intent.YES, Intent.BACKCHANNEL, Intent.THANKS, Intent.HELLO}


def _plain(text: str) -> str:
    """Lower case, half-width, with one comma for any run of marks and blanks, and none at the ends."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[^\w']+", ",", re.sub(r"(?<=[a-z']) +(?=[a-z'])", "_", folded)).strip(",_").replace("_", " ")


def _rule(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


_WRONG_NUMBER = _rule(
    r"打错|拨错|认错人|找错人?|号码错|电话错",
    r"没有?(?:这个|这)人|不认识(?:这个人|他|她)|你找谁|找谁(?:啊|呀|呢)?$",
    r"(?:我|这里|这儿)(?:不是|不姓|没有叫)(?!不|很|太|说|要|想)(?:他|她|这个|本人|机主|你(?:说|找|要找)的|.{2,3}(?:$|,))",
    r"wrong (?:number|person)|no one (?:here )?by that name|not (?:him|her|that person)",
)
_CALLBACK = _rule(
    r"(?:晚点|晚些|晚一点|等会|等一会|等下|待会|呆会|一会|过会|过一会|过一阵|回头|改天|改日|下次|稍后|迟点|迟些|有空|有时间|下午|晚上|明天|后天|下周|中午|早上|上午|点以?后|点钟?)"
    r".{0,6}(?:再|来)?(?:打给|打过?来|打电话|打(?:吧|,|$)|联系|来电|再说|再聊|再打|回电|说吧)",
    r"(?:晚点|晚些时候|待会儿?|一会儿|过会儿?|回头|改天|稍后)(?:再)?(?:吧|,|$)",
    r"(?<!没)(?<!没有)(?<!不)(?:在|正)(?:在)?(?:开会|上课|开车|忙|吃饭|睡觉|医院|坐车|飞机|手术|考试|面试|工作|上班|休息)",
    r"(?:我|现在|这会儿?|这边).{0,3}(?:很|挺|比较|有点|正)?(?<!不)(?<!不是很)(?<!不太)忙(?!吗|不忙|什么)(?:$|,|着|的|呢|得)|没空|没时间|没有(?:时间|空)|抽不开身|(?<!方)(?<!方便)不(?:太|大|是很)?方便(?!面)",
    r"call (?:me )?(?:back )?(?:later|tomorrow|again later)|call (?:me )?back|(?:i'm|i am) (?:busy|driving|in a meeting|at work)|bad time|not a good time",
)
_ASK_WHEN = _rule(
    r"几点|几号|哪天|哪一天|啥时候?|什么时[候间]|何时|多久|时间(?:是|呢|安排)|when|what time|what day|which day"
)
_ASK_WHERE = _rule(
    r"在哪(?!位|家|个公司)|去哪|到哪|哪里?集合|什么地[方点]|地[址点](?:是|在|呢|发)?|怎么(?:去|走|过去)|哪个(?:店|门店|地方|位置|楼|会场)|where|address|location"
)
_ASK_WHO = _rule(
    r"你们?是?(?:谁|哪位|哪里的|哪儿的|哪家|哪个公司|什么公司|什么人|干嘛的|干什么的|做什么的)",
    r"您(?:是)?(?:哪位|哪里|谁)|^(?:请问)?(?:您是)?(?:谁|哪位|哪里|哪儿)(?:啊|呀|呢|的)?$|哪位(?:啊|呀)?$|(?:从)?哪里打来|什么单位|(?:是)?谁啊|哪个单位",
    r"who (?:is|are|am)|who's (?:this|calling)|who is this|which company",
)
_ASK_WHAT = _rule(
    r"(?:有)?(?:什么|啥)(?:事|活动|内容|意思|问题|通知)|(?<!没)怎么了|怎么回事|干(?:嘛|什么|啥)(?!的)|什么情况|说的?(?:是)?(?:什么|啥)事|具体(?:是|说|讲)|介绍一下|(?:要)?(?:带|准备)(?:什么|啥)",
    r"what is (?:it|this) about|what's (?:it|this) about|what for|tell me more",
)
_ROBOT = _rule(
    r"机器人|是不是?真人|(?:是|转)?人工(?!智能)|人工智能|自动(?:电话|语音)|录音吗|\bai\b|robot|real person|a machine|human"
)
_REPEAT = _rule(
    r"再(?:说|讲|重复|念)(?:一)?(?:遍|次|下|一下)|重复|没(?:有)?(?:听清|听见|听到|听懂|听明白|明白|听着)|听不(?:清|见|到|懂)|(?:你)?(?:刚才|刚刚)?说(?:的)?(?:是)?(?:什么|啥)(?!事)|(?:你)?慢点说|声音(?:太)?(?:小|断)|大声",
    r"^(?:啊|什么|啥|嗯哼|哈|诶|欸|呃|哎)(?:啊|呀|,)?(?:什么|啥|啊)?$|^什么[,]?你?说?(?:什么)?$",
    r"say (?:that|it) again|repeat|pardon|come again|^(?:what|sorry|excuse me)$|(?:can't|cannot|didn't|couldn't) (?:hear|catch|understand)",
)
_GOODBYE = _rule(
    r"(?<!不)再见|拜拜|拜$|(?<!别)(?<!要)(?<!先别)(?<!能)挂(?:了|电话|吧|断了?)(?!吗)|就?(?:先)?这样(?:吧|啊|了|,|$)|不(?:和|跟)你(?:说|聊)了|不(?:说|聊)了|没(?:别的|其他)?事了",
    r"\b(?:good ?)?bye\b|have to go|gotta go|hang up",
)
_THANKS = _rule(r"谢谢|多谢|感谢|谢了|辛苦(?:了|你)|\bthanks?\b|thank you")
_HELLO = re.compile(
    r"(?:(?:喂|您好|你好|哈喽|哈啰|hello|hi|hey|在吗|听得[到见](?:吗)?|能听[到见](?:吗)?|有人吗|说话|请讲|请说|你说|您说|讲|哪位|早上好|上午好|下午好|晚上好|speaking|yes)(?:啊|呀|吧)?[, ]*)+"
)
_BACKCHANNEL = re.compile(r"(?:(?:嗯+|恩+|哦+|噢+|唔+|呃+|额+|啊哈|uh|um+|mm+|hmm+|uh huh)[, ]*)+")

_RULES = (
    (Intent.WRONG_NUMBER, _WRONG_NUMBER),
    (Intent.CALLBACK, _CALLBACK),
    (Intent.ASK_WHEN, _ASK_WHEN),
    (Intent.ASK_WHERE, _ASK_WHERE),
    (Intent.ASK_WHO, _ASK_WHO),
    (Intent.ASK_WHAT, _ASK_WHAT),
    (Intent.ROBOT, _ROBOT),
    (Intent.REPEAT, _REPEAT),
    (Intent.GOODBYE, _GOODBYE),
    (Intent.THANKS, _THANKS),
)
_ORDER = tuple(Intent)

# --- yes and no ----------------------------------------------------------------------------------------------------

_IDIOMS = re.compile(
    r"对不起|不好意思|不客气|没关系|不一定|不清楚|不知道|不记得|不确定|好像|好几|好多|好久|对了|行吗|好吗|对吗|是吗|可以吗|"
    r"是不是|好不好|行不行|能不能|可不可以|对不对|要不要|有没有|方不方便|不是很|还不是|要不然?|要是|对方|对于|可是|但是|不过|只是|"
    r"还是|或者是|就是(?!了|,|$)|是什么|是谁|是哪|你是|您是|你们是|行业|银行|you know"
)
"""Words that hold a yes or a no and mean neither."""
_YES_IDIOMS = re.compile(
    r"没(?:有)?(?:什么|啥|任何)?(?:问题|意见|毛病)|没(?:有)?错|不错|(?<!别的)没事(?!了)|不介意|不麻烦|不忙|(?:可以)?没得说|no problem|why not|of course|not bad"
)
_NO = _rule(
    r"^不$|^不[,]|^不(?:了|是|要|用|行|对|去|能|会|想|需|必|可|愿|同意|参加|方便|感|满意|接受|好|考虑|打算|舒服|太|大|怎么|怎样|咋)|,不$|,不,",
    r"不(?:是|要|用|行|对|去|能|会|想|需|必|可以|愿|同意|参加|方便|感兴趣|满意|接受|考虑|打算|来了?|好用)(?!不)",
    r"没(?:有)?(?:兴趣|必要|收到|用过?|时间|空|打算|参加|去)|^没(?:有)?(?:,|$|呢|啊)|,没(?:有)?(?:,|$)|算了|免了|拒绝|取消(?!订阅)|不满|很差|太差|差劲|糟糕|去不了|来不了|到不了|改不了",
    r"\b(?:no|nope|not|don't|can't|won't|never|isn't|wasn't)\b",
)
_YES = _rule(
    r"(?:^|,)(?:嗯+|恩|哦|噢|啊|喂|那)*,?(?:是|对|好|行|成|可|中|要|会|能|有|在)+(?:的|啊|呀|吧|呢|了|嘞|哒|滴|哦|嘛|我)*(?:$|,)",
    r"(?:是|对|好|行|可以|没问题|当然|确定|确认|肯定|一定)(?:的|啊|呀|吧|呢|嘞|哒|滴)(?:$|,|是|对|好|行)",
    r"(?:对)?是我|我(?:就)?是(?!说|想|问|在|不|他|她|这|那|替|帮|[\w]{0,4}(?:爱人|老公|老婆|妈|爸|儿子|女儿|同事|家人|家属|助理|秘书))|我(?:是|就是)?本人|就是我|可以|好的|好呀|好嘞|行的?,|没问题|当然|确定|确认|肯定|同意|愿意|方便|知道了|明白|了解|清楚了?|收到|记住了|满意|挺好|很好|还好|还行|还可以|不错|参加|我(?:会|要|能|想)|会去|会来|会到|能去|能来|准时|需要|感兴趣|请讲|请说|你说|您说|说吧|讲吧|好好,|好,好|有时间|有空|用过|收到了",
    r"\b(?:yes|yeah|yep|sure|okay|ok|right|correct|fine|alright|absolutely|certainly|definitely|speaking)\b",
)


def _answer(plain: str) -> Intent | None:
    """YES or NO. A no anywhere wins: "好的，不用了"; but not one that is a yes in other words: "没问题"."""
    kept = _IDIOMS.sub("", _YES_IDIOMS.sub("可以", plain))
    if _NO.search(kept):
        return Intent.NO
    return Intent.YES if _YES.search(kept) else None
