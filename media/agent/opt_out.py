"""Does somebody ask not to be called again? From the words alone. Pure.

Whoever does is let go at once and stays on the do-not-call list for good, so a mistake costs either way. A wish needs
its verb, its "not" and the right one not to be called: a complaint, a question, a plan, "not now", "not him but me"
and "you need not ring, leave it at the door" are none. What stays in doubt is none either: the playbook, or the model,
goes on and may still ask.
"""

from __future__ import annotations

import re


def asks_not_to_be_called(plain: str) -> bool:
    """``plain``: lower case, with one comma for any run of marks."""
    if _LATER.search(plain):
        return False
    kept = _NOT_MEANT.sub(",", plain)
    if _THREAT.search(kept) or _REMOVAL.search(kept) or any(_UNSUBSCRIBE.fullmatch(part) for part in kept.split(",")):
        return True
    if _ELSEWHERE.search(kept) and not _THIS_NUMBER.search(kept):
        return False
    return any(rule.search(kept) for rule in (_PROHIBITION, _NO_NEED, _UNWANTED, _ENGLISH))


def _rule(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


_OTHERS = "(?:们?的?(?:老板|领导|同事|公司|单位|爸|妈|父|母|老公|老婆|爱人|先生|太太|儿子|女儿|孩子|家人|家属|朋友|客户|亲戚))"
_ME = rf"(?:(?:我|咱)(?:们)?(?!{_OTHERS})|俺|老子|老娘|本人|人家)"
_STOP = (
    "(?:(?<![特分级区个差告性辨])别(?!人|的|家|处|扭|墅)|(?<!要)不要|不许|不准|不得|不可以|甭|勿|莫(?=再)|(?<=以后)莫|禁止|停止|少(?=给|来|打电话)|"
    "不希望|不想(?:让|要)?你们|(?<!我)(?<!我们)不能(?=再|老|总|一直|天天))"
)
_SWEARING = "他妈的?|他娘的?|特么的?|tmd?|妈的|你妈"
_HOW = rf"(?:再|老是?|总是?|一直|天天|整天|一天到晚|继续|反复|频繁|没完没了地?|随便|乱|又|来|你们?|您|{_SWEARING}|(?:给|跟|向|对|和){_ME}(?:家|家里)?|往(?:我|这)[这那]?[儿里边]?){{0,5}}"
_ON = "(?=$|,|了|啦|啊|呀|吧|哈|行|好|可以|成|谢谢|我)"
_RING = (
    rf"(?:(?:打|拨)(?:电话(?!给我?{_OTHERS}|给[他她])|{_ON}|过来|来(?!回)|进来|(?:给|到){_ME}|{_ME}(?:的|这个?|那个?)?(?:家(?:里)?)?(?:电话|手机|号|座机)|(?:我)?(?:这个?|本)(?:号|电话|手机)|骚扰)"
    rf"|打(?:这种|这类|此类|推销|骚扰|广告|营销)[^,]{{0,6}}电话|拨打|致电|call{_ME}|来电(?!显示|提醒|话费))"
)
_CONTACT = rf"联系(?:{_ME}|{_ON}|这个?(?:号|电话))"
_DISTURB = rf"(?:打扰|打搅)(?:{_ME}(?!休息|睡觉|午休|上课|上班|工作|开会|吃饭)|(?=$|,|了|啦|啊))|骚扰|(?:烦|吵){_ME}|烦人(?!的)"
_PROHIBITION = _rule(
    rf"{_STOP}{_HOW}(?:{_RING}|{_CONTACT}|{_DISTURB})",
    rf"{_STOP}(?:再|老|总|一直|天天|继续)[^,让叫]{{0,10}}?(?:给{_ME}打|打(?:电话)?给{_ME}|打{_ME}|骚扰|打扰{_ME}|联系{_ME})",
    rf"{_STOP}再(?:打(?:电话)?给|给|联系|骚扰|打扰)我?{_OTHERS}",
    rf"{_STOP}再(?:打(?:电话)?给|给)[他她]们?(?:打|了|,|$)",
    rf"{_STOP}(?:再)(?:来)?找{_ME}|以后[^,]{{0,4}}(?:别|不要)(?:来)?(?:找|通知){_ME}",
    rf"{_STOP}(?:再(?:给{_ME}|向{_ME})?|给{_ME}|向{_ME})(?:打电话)?推销",
    r"勿扰(?:$|,|我)|免打扰(?:$|,)",
)
_NO_NEED = re.compile(
    rf"(?:(?:不用|不必|无需|不需要|用不着|没(?:有)?必要|犯不着)(?:你们?|您)?(?:再|老是?|总是?|天天|一直|继续)(?:给{_ME}|跟{_ME})?|"
    rf"(?:以后|今后|往后|从今)[^,]{{0,3}}?(?:不用|不必|无需|不需要|用不着)(?:你们?|您)?(?:再)?(?:给{_ME}|跟{_ME})?)"
    rf"(?:{_RING}|{_CONTACT}|{_DISTURB})(?!.{{0,4}}(?:提醒|通知|确认|催|回访|核实))"
)
"""A mere "you need not" is often said of one delivery; with "again" or "from now on" it is a wish."""
_UNWANTED = _rule(
    r"(?:不想|不愿意?|不希望|不要|别让我|拒绝)(?:再|继续)?(?:接|收)(?:到|听)?[^,]{0,8}(?:推销|广告|营销|骚扰|这种|这类|此类|类似|任何)[^,]{0,4}(?:电话|来电)?",
    r"(?:不想|不愿意?|不希望|别让我)再(?:接|收)到[^,]{0,6}(?:电话|来电)|(?:不想|不愿意?|不希望)(?:再)?(?:接|收)到你们(?:的)?(?:任何)?(?:电话|来电|骚扰|$|,)",
    r"(?:不想|不愿意?|不希望|拒绝)(?:再)?(?:接|听)你们(?:的)?电话|(?:不想|不愿意?|不希望)(?:再|总|老|天天)?被(?:你们|人)?(?:这样|一直|反复)?(?:打扰|骚扰)",
    r"(?:拒绝|谢绝)(?:你们(?:的)?)?(?:任何)?(?:推销|营销|骚扰|打扰|来电|致电)",
)
_AGAIN = r"(?<!帮我)(?<!替我)(?<!我)(?<!我会)(?<!我就)(?<!我们)(?<!他)(?<!麻烦)(?:再|还|继续)(?:敢|要|来|这样|这么|给我|老|一直){0,2}"
_MEASURES = r"(?:投诉|举报|报警|拉黑|起诉|骂人|骂你|告(?:你们?)(?!一)|黑名单)(?!电话|热线|部|中心|渠道|单|过)"
_THREAT = _rule(
    rf"{_AGAIN}(?:打|骚扰|来电|联系)(?:扰)?(?:电话|过来|来|给我|骚扰|我|了|一次|一个|下去|试试|的话|啊|,){{0,5}}(?:我们?|咱|老子)?(?:可|就|要|会|马上|直接|立刻|真的?|肯定|一定|只能|去|让|把(?:你们?|这个?号码?)|给你们?|加|拉|进|工信部|打|12321|12315){{0,4}}{_MEASURES}",
    rf"{_MEASURES}(?:你们?|您|了|啊|哦|吧|,){{0,4}}(?:再打|还打)(?!给|来|电话|吧|一)",
    r"(?:投诉|举报|告)你们(?:这种|这样)?骚扰|你们?(?:这是|这样|这叫|一直|天天|老是|再).{0,4}骚扰(?!电话拦截).{0,8}(?:投诉|举报|报警)",
)
_NUMBER = "(?:电话|号码|手机号?|号|信息|资料|联系方式|名字)"
_REMOVAL = _rule(
    rf"(?<!我)(?<!我就)(?<!我已经)(?:把|将)(?:我的?|我们?的?|这个?|我这个?){_NUMBER}(?:码)?[^,不没]{{0,10}}?(?:删|移除|去掉|去除|划掉|抹掉|拉黑|黑名单)",
    r"(?:把|将)我们?(?:给)?(?:从|在)[^,不没]{0,10}?(?:删|移除|去掉|去除|划掉|拿掉)",
    rf"(?<!别)(?<!不要)(?<!没)(?<!没有)(?<!被)(?:删(?:掉|除|了)?|移除)我的?{_NUMBER}",
    r"(?<![他她谁人])(?:把|将|给)我(?:给|直接)?(?:拉黑|(?:拉|加|放|列)(?:入|进|到)?(?:你们的?)?(?:黑名单|勿扰名单|免打扰|拒呼名单))|加入(?:你们的?)?(?:拒绝|拒呼|勿扰|免打扰)(?:来电)?名单",
    r"(?:^|,)(?:那|信不信|小心|我|我们|真|就|要|直接|马上|现在|已经?|给你|把(?:你们?|您|这个?号码?)){0,5}(?:拉黑|(?:拉|加)(?:入|进)?黑名单)(?:你们?|您|我)?(?:了|吧|啊|哦|算了)*(?=$|,)",
    r"拉黑(?:你们?)?(?:了|过)?,?(?:怎么)?(?:还|又)(?:能|在|来)?打",
)
_UNSUBSCRIBE = re.compile(
    r"(?:好|嗯|我|要|想|需要|帮|给|请|麻烦|你们?|您|直接|现在|马上|立刻|那|就|全部|都)*(?:td|退订|取消订阅)+(?:了|吧|啊|呀|谢谢|你们?的?|您|这个?|这种|这类|电话|来电|推销|一下|我要){0,4}"
)
"""On its own: whoever wants to be rid of a tariff names it, and who asks how it is done has not done it yet."""

_TIME = "(?:晚点|晚些|晚一点|等会|等一会|等下|待会|呆会|一会|过会|过一会|过一阵|回头|改天|改日|下次|稍后|迟点|迟些|有空|有时间|下午|晚上|明天|后天|下周|中午|早上|上午|点以?后|完了?|好了?)"
_LATER = _rule(
    rf"{_TIME}[^,别不勿甭]{{0,5}}再(?:给我|跟我)?(?:打(?:电话)?(?:给我|过来|来)?|联系(?:我)?|来电)(?:吧|啊|哈)?(?!(?:电话|过来|来|给)?我?(?:就|可|真|敢|试|直接|马上|投诉|报警|举报|拉黑))",
    r"\bcall (?:me )?(?:back|later|tomorrow|tonight)",
)
"""Whoever says when to call wants to be called, whatever they say of now or of others."""
_NOT_MEANT = _rule(
    r"(?:没|没有|不是|从没|并没有|又没)(?:有)?(?:说|让|叫|要|要求|想)(?:过)?(?:让|叫|要)?(?:你们?|您|你们的)?(?:以后)?(?:别|不要|不用|拉黑|退订|取消订阅|删)[^,]*",
    r"(?:没|没有|不会|不想|不要|别|没想)(?:把|给)?(?:你们?|我|您)?(?:拉黑|拉进黑名单|加黑名单)[^,]*",
    r"(?:是不是|有没有|难道|以为|为什么|为啥)[^,]{0,6}(?:把|被|给)?[^,]{0,6}(?:拉黑|黑名单|删)[^,]*",
    r"(?:怎么|如何|怎样)(?!还|又|老|总|一直|天天|回事)[^,]{0,6}(?:拉黑|黑名单|退订|取消订阅|删)[^,]*",
    r"(?:不小心|误)[^,]{0,4}把[^,]*",
    r"(?:让|叫|告诉|通知|请|跟)(?:他|她|快递|师傅|司机|骑手|外卖|送货|物业|中介)[^,]{0,5}(?:别|不要|不用|不许)[^,]*",
    r"(?:晚上|中午|早上|上午|下午|半夜|夜里|周末|周[一二三四五六日天]|(?:上班|开会|睡觉|午休|休息|工作|上课)(?:时间?|的时候|期间)|(?<!从)现在|先|今天|明天|这会儿?|这两天|这几天|暂时)(?:就|请|千万|最好|你们?|您){0,2}(?:别|不要|不用|不许|不能)[^,]*",
)
"""Denied, asked, told of others, or only for a time."""
_ELSEWHERE = re.compile(
    rf"(?:^|,|你|您|请|可以|直接|就|要)(?:打|联系|找|拨)(?:另|别的|手机|座机|固话|公司|家里|[他她](?:本人|吧|就|们|,|$)|本人|我(?:就|(?:的)?(?:手机|座机|另)|{_OTHERS}))"
)
"""Whom to call instead."""
_THIS_NUMBER = re.compile(rf"{_STOP}再(?:打|拨)(?:我)?这个?(?:号|电话)")

_ENGLISH = _rule(
    r"(?<!can't )(?<!cannot )\b(?:stop|quit) (?:calling|phoning|contacting|harassing|bothering)\b",
    r"\b(?:don't|do not|dont) (?:you )?(?:ever |dare )?(?:keep )?(?:call|calling|phone|phoning|contact|contacting|bother|ring)(?: me| us| here| my \w+| this \w+)?(?: again| any ?more| ever| please)?(?: again)?(?:$|,)",
    r"(?<!you )(?<!they )\bnever (?:call|phone|contact) (?:me|us|this number)(?! back)",
    r"(?:remove|take|delete) (?:me|my (?:phone )?number|my name|this number)\b.{0,20}(?:list|database|off|records?|system)",
    r"(?<!to )(?<!how do i )(?<!how can i )\bunsubscribe\b|\bopt(?: me)? out\b|(?:do not|don't) call list",
)
