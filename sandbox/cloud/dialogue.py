"""The mind behind the stand-in chat: a few rules that answer a customer on the telephone, politely and in Chinese (pure).

It reads the system prompt for facts (lines of `key: value`), the last thing the customer said for its intent, and the offered
tools for what it may do. It calls nothing that wasn't offered.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say (may be empty) and which tools to call."""

    content: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the system prompt tells: each is "" if it doesn't."""

    name: str = ""
    company: str = ""
    ticket: str = ""


_NAMES = (
    "客户姓名",
    "客户名称",
    "姓名",
    "客户",
    "称呼",
    "联系人",
    "username",
    "user_name",
    "customer_name",
    "customer",
    "name",
)
_COMPANIES = ("公司名称", "公司", "单位", "company", "caller_name")
_TICKETS = (
    *("工单内容", "问题描述", "诉求", "回访事项", "工单标题", "事由", "内容", "工单"),
    *("ticket_content", "ticketcontent", "ticket", "content", "subject", "topic", "reason"),
)
_LINE = re.compile(
    r"^[\s\-*•#]*[\"'「【]?([\w\u4e00-\u9fff ]{1,16}?)[\"'」】]?\s*[:：=]\s*[\"'「]?(.+?)[\"'」]?[,，;；]?\s*$"
)
_CUT_NOTE = re.compile(r"^（客户打断了你，这些话没有听到：“(?P<unheard>.*)”）(?P<said>.*)$", re.DOTALL)
"""How a customer's message begins that cut the assistant short."""
_TROUBLE = re.compile(r"反映|报修|投诉|故障|问题|坏|无法|不能")
"""What a ticket is about that asks for a solution."""
_LONGEST_TICKET = 60  # characters of the ticket that are read out: about ten seconds


def facts(prompt: str) -> Facts:
    """The facts among the lines of a system prompt."""
    told: dict[str, str] = {}
    for line in prompt.splitlines():
        match = _LINE.match(line)
        if match:
            told.setdefault(match[1].strip().lower(), match[2].strip())

    def first(keys: Sequence[str]) -> str:
        return next((told[key] for key in keys if told.get(key)), "")

    ticket = first(_TICKETS).rstrip("。.！!？?；; ")
    return Facts(first(_NAMES), first(_COMPANIES), ticket[:_LONGEST_TICKET])


_INTENTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "do_not_call",
        re.compile(
            r"(不要|别|不许|不准|禁止)(再|给我|老|总)*.{0,4}(打|骚扰|联系)|骚扰电话|拉黑|投诉你|stop calling|don.?t call",
            re.I,
        ),
    ),
    ("wrong_person", re.compile(r"打错|不是(本人|他|她)|不认识(他|她|这)|没有这个人|你找谁|wrong number", re.I)),
    (
        "call_back",
        re.compile(
            r"(晚点|晚些|稍后|等会|等一会|待会|回头|改天|改日|过会|一会儿|明天|后天|下午|晚上|下周).{0,6}(打|联系|说|聊)|(现在|这会儿?)?(在忙|很忙|没空|没时间|不方便)|在?(开会|开车|上课)|call (me )?back|busy",
            re.I,
        ),
    ),
    ("not_heard", re.compile(r"听不(清|见|到)|没听(清|见|到|懂)|再说一[遍次]|你说什么|大声点|pardon|say again", re.I)),
    ("where", re.compile(r"在哪|什么地方|哪个地方|地址|地点|怎么走|where", re.I)),
    ("when", re.compile(r"几(点|号|时)|什么时候|什么时间|哪天|when", re.I)),
    ("price", re.compile(r"多少钱|费用|收费|价格|how much", re.I)),
    (
        "who",
        re.compile(
            r"(你|您)?(是|们是)?(谁|哪位|哪里|哪儿|哪家|什么公司|什么单位)|(什么事|干什么|干嘛|有事吗)|who", re.I
        ),
    ),
    (
        "unsolved",
        re.compile(r"(没|没有|未|还没|不)(解决|修好|处理|弄好|收到|满意)|还是(不行|坏|有问题)|不满意|太差|投诉", re.I),
    ),
    (
        "goodbye",
        re.compile(
            r"再见|拜拜|挂了|没有了|没了|没有(其他|别的)|没事了|没问题了|不用了|不需要|不感兴趣|就这样|bye", re.I
        ),
    ),
    (
        "yes",
        re.compile(
            r"^(嗯+|对+的?|是+的?|好+的?|行|可以|没错|我是|我就是|解决了|满意|收到了|知道了|ok|yes)|(已经|都)(解决|修好|处理|收到)|^(你|您)好|^喂",
            re.I,
        ),
    ),
    ("question", re.compile(r"[？?]|吗|呢|多少|几(点|天|号|时)|什么时候|怎么|为什么|能不能|可不可以", re.I)),
)
_WHEN = re.compile(
    r"(今天|明天|后天|下周[一二三四五六日天]?)?(上午|中午|下午|晚上)?([一二三四五六七八九十两\d]+点半?)?"
)
_ABOUT = {
    "where": re.compile(r"地[点址]|在.*?(店|馆|厅|营地|门诊|学校|医院|中心|大厦|路|号)"),
    "when": re.compile(r"[今明后]天|周[一二三四五六日天末]|月底|月|号|上午|中午|下午|晚上|点"),
    "price": re.compile(r"元|块|费用|免费"),
}
"""Which part of a ticket answers which question."""
_OUTCOMES = {
    "do_not_call": ("do_not_call", "refused", "拒绝", "勿扰"),
    "wrong_person": ("wrong_number", "wrong_person", "错号", "非本人"),
    "call_back": ("callback", "callback_wanted", "call_back", "回访", "回拨", "稍后"),
    "unsolved": ("unresolved", "unsolved", "not_resolved", "未解决", "不满意"),
    "goodbye": ("completed", "resolved", "confirmed", "done", "ok", "已完成", "已解决", "满意"),
    "yes": ("confirmed", "resolved", "completed", "ok", "已确认", "已解决", "满意"),
}


def intent(said: str) -> str:
    """What the customer wants; `unclear` if too little was understood, `statement` if no rule fits."""
    text = said.strip().strip("。，！,.!… ")
    for name, pattern in _INTENTS:
        if pattern.search(text):
            return name
    return "statement" if len(text) >= 4 else "unclear"


def reply(messages: Sequence[Json], tools: Sequence[Json] = ()) -> Reply:
    """The next thing the assistant says and does in a conversation of OpenAI's messages.

    `tools` are the entries of the request's `tools` that may be called.
    """
    known = facts("\n".join(text_of(message) for message in messages if message.get("role") in ("system", "developer")))
    if messages and messages[-1].get("role") == "tool":
        return _after_tools(messages)
    said = [text_of(message) for message in messages if message.get("role") == "user"]
    spoken = [text_of(message) for message in messages if message.get("role") == "assistant"]
    if not any(text.strip() for text in spoken) and (not said or intent(said[-1]) in ("yes", "unclear")):
        return Reply(_opening(known))
    if not said or messages[-1].get("role") == "assistant":
        return Reply("您好，请问您还在听吗？")
    note = _CUT_NOTE.match(said[-1])
    last = note["said"] if note else said[-1]
    meant = intent(last)
    calls = tuple(_calls(meant, last, tools))
    words = _answer(meant, last, spoken, known)
    return Reply(_with_rest(meant, words, note["unheard"]) if note and not calls else words, calls)


def _with_rest(meant: str, answer: str, unheard: str) -> str:
    """First what was asked, then what was cut off; who only agreed hears the rest at once."""
    if meant in ("yes", "unclear", "not_heard"):
        return unheard
    return answer.partition("。")[0] + "。" + unheard


def text_of(message: Json) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return ""


def _after_tools(messages: Sequence[Json]) -> Reply:
    """Tools have answered: say goodbye, unless something was said along with the call."""
    caller = next((message for message in reversed(messages) if message.get("tool_calls")), {})
    return Reply("" if text_of(caller).strip() else "好的，已经为您记录。感谢您的接听，再见。")


def _opening(known: Facts) -> str:
    who = f"请问是{known.name}吗？" if known.name else "打扰您了。"
    where = f"这里是{known.company}。" if known.company else ""
    return f"您好，{who}{where}{_purpose(known)}"


def _purpose(known: Facts) -> str:
    if known.ticket:
        return f"关于{known.ticket}，想跟您核实一下，您看方便吗？"
    return "想就您的工单做个简短的回访，您看方便吗？"


def _answer(meant: str, said: str, spoken: Sequence[str], known: Facts) -> str:
    match meant:
        case "do_not_call":
            return "非常抱歉打扰您，我们会登记下来，不再给您拨打。再见。"
        case "wrong_person":
            return "不好意思，打扰您了，我们会核对号码。再见。"
        case "call_back":
            return f"好的，那我们{_when(said) or '稍后'}再给您打电话。再见。"
        case "not_heard":
            return f"好的，我再说一遍。{spoken[-1] if spoken else _purpose(known)}"
        case "who":
            return f"我是{known.company or '客服中心'}的回访专员。{_purpose(known)}"
        case "unsolved":
            return "很抱歉给您带来不便，我已经记录下来，会安排专人尽快处理。请问还有其他需要补充的吗？"
        case "goodbye":
            return "好的，感谢您的接听，祝您生活愉快，再见。"
        case "yes":
            return _continued(spoken, known)
        case "where" | "when" | "price" if told := _told(meant, known):
            return f"{told}。请问还有其他问题吗？"
        case "question" | "where" | "when" | "price":
            return "您的问题我已经记下，稍后由专员给您准确答复。请问还有其他问题吗？"
        case "statement":
            return "好的，您说的情况我已经记录下来。请问还有其他需要补充的吗？"
    return "不好意思，我没有听清，麻烦您再说一遍好吗？"


def _continued(spoken: Sequence[str], known: Facts) -> str:
    """After a yes: once to the matter itself, then to whether there is anything else."""
    if len(spoken) <= 1:
        if known.ticket and not _TROUBLE.search(known.ticket):
            return f"好的。{known.ticket}。请问您还有什么想了解的吗？"
        matter = f"关于{known.ticket}" if known.ticket else "您反映的问题"
        return f"好的。{matter}，请问现在的情况怎么样，解决了吗？"
    return "好的，已经为您登记。请问还有其他问题吗？"


def _told(meant: str, known: Facts) -> str:
    """The part of the ticket that answers a question; "" if none does."""
    parts = [part.strip() for part in re.split(r"[，,。；;]", known.ticket)]
    return next((part for part in parts if _ABOUT[meant].search(part)), "")


def _when(said: str) -> str:
    return max((match[0] for match in _WHEN.finditer(said)), key=len, default="")


def _calls(meant: str, said: str, tools: Sequence[Json]) -> list[ToolCall]:
    wanted = {
        "do_not_call": ("do_not_call_again", "tag_outcome", "hang_up"),
        "wrong_person": ("tag_outcome", "hang_up"),
        "call_back": ("callback_wanted", "tag_outcome", "hang_up"),
        "unsolved": ("tag_outcome",),
        "goodbye": ("tag_outcome", "hang_up"),
    }.get(meant, ())
    offered = {
        function["name"]: function for function in (tool.get("function") or {} for tool in tools) if "name" in function
    }
    return [ToolCall(name, _arguments(offered[name], meant, said)) for name in wanted if name in offered]


def _arguments(function: Json, meant: str, said: str) -> dict[str, Any]:
    """Arguments as the tool's JSON schema asks for them; optional ones only where there is something to say."""
    schema = function.get("parameters") or {}
    required = schema.get("required") or ()
    values = {name: _value(name, part, meant, said) for name, part in (schema.get("properties") or {}).items()}
    return {name: value for name, value in values.items() if value not in ("", None) or name in required}


def _value(name: str, part: Json, meant: str, said: str) -> Any:
    outcomes = _OUTCOMES.get(meant, ("other",))
    if part.get("enum"):
        return next((choice for choice in part["enum"] if choice in outcomes), part["enum"][-1])
    match part.get("type"):
        case "integer" | "number":
            return 60 if "min" in name else 1
        case "boolean":
            return True
        case "array":
            return [_value(name, part.get("items") or {}, meant, said)]
        case "object":
            return {}
    if re.search(r"when|time|date|at$|时间", name, re.I):
        return _when(said)
    return outcomes[0] if re.search(r"outcome|tag|label|result|code", name, re.I) else said
