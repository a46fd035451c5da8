"""What a playbook may say about a ticket: its fields, today's date, and the time and place found in its content. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.bus import Briefing

FIELDS = ("username", "ticketNo", "ticketType", "ticketContent", "today", "when", "where")
"""Names in templates. ``when`` and ``where`` are empty if the content names no time or place."""
LONGEST_CONTENT = 600
"""Characters of a ticket's content that are spoken: about two and a half minutes, more than anybody listens to."""

_CLOSED = re.compile(r"[。！？…!?][”’」』）)\"']*$|\.$")
_OPEN_ENDING = " ，、：；,:;—-"

_WEEKDAYS = "一二三四五六日"
_NUMBER = r"(?:\d{1,2}|[零一二三四五六七八九十两]{1,3})"
_DAY = (
    rf"(?:\d{{4}}年)?{_NUMBER}月{_NUMBER}[日号]|\d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}|(?<![\d路街道]){_NUMBER}[日号](?!楼|店|线|厅|门|馆|院)|(?:今|明|后|大后)[天晚]|"
    r"(?:本|这|下)?个?(?:周|星期|礼拜)[一二三四五六日天末]|(?:本|这|下)周|(?:本|这|下)个?月(?:初|中|底)?|月[初底]"
)
_HOUR = rf"{_NUMBER}[:：]\d{{2}}|{_NUMBER}点(?:半|整|{_NUMBER}分?|[一三]刻)?"
_PERIOD = r"凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|全天"
_MOMENT = rf"(?:{_DAY}|{_HOUR}|{_PERIOD})"
_WHEN = re.compile(
    rf"{_MOMENT}(?:[的 ,，（）()]?{_MOMENT}|[ ]?(?:至|到|-|—|~|～)[ ]?{_MOMENT})*(?:之?前|以前|之?后|以后|左右|开始)?"
)
_NAMED_PLACE = re.compile(r"(?:地点|地址|位置|会场)(?:是|在|为|：|:)?\s*(?P<place>[^，。；！？,;!?\n]{2,40})")
_AT_PLACE = re.compile(
    r"(?:在|到|去|至|前往)(?P<place>[^，。；！？,;!?\n在]{2,30}?)(?:举行|举办|召开|开展|集合|进行|参加|出席|见面|领取|办理|就诊|等您|等候|报到|签到|开始|体验|(?=[，。；！？,;!?\n]|$))"
)
_PLACE = re.compile(
    r"(?P<place>[^，。；！？,;!?\n在到去的]{1,24}(?:路\d*号?|街\d*号?|大道|\d号楼?|大厦|广场|中心|酒店|会议室|展厅|门店|体育馆|公园|医院|门诊|诊所|大学|礼堂|报告厅|会议厅|营业厅|\d+楼|\d+室)\w{0,8})"
)


def ticket_fields(briefing: Briefing, now_ms: int, zone: ZoneInfo) -> dict[str, str]:
    """The ticket that ``briefing`` is about: a value for each of FIELDS."""
    content = closed(" ".join(briefing.ticket_content.split())[:LONGEST_CONTENT])
    return {
        "username": " ".join(briefing.username.split())[:40],
        "ticketNo": briefing.ticket_no[:64],
        "ticketType": briefing.ticket_type[:64],
        "ticketContent": content,
        "today": _date(now_ms, zone),
        "when": find_when(content),
        "where": find_where(content),
    }


def closed(content: str) -> str:
    """``content`` as whole sentences: with a full stop behind it, if it has no final mark, so that nothing runs into it."""
    if _CLOSED.search(content):
        return content
    content = content.rstrip(_OPEN_ENDING)
    return content and content + ("." if content.isascii() else "。")


def sample_fields() -> dict[str, str]:
    """Fields to try templates with."""
    return dict.fromkeys(FIELDS, "") | {
        "username": "张三",
        "ticketContent": "提醒您明天下午三点在人民广场参加活动。",
        "today": "2026年1月1日星期四",
    }


def find_when(content: str) -> str:
    """The longest mention of a time in ``content``, or ""."""
    found = [match.group().strip(" ,，") for match in _WHEN.finditer(content)]
    return max(found, key=len, default="")


def find_where(content: str) -> str:
    """The place that ``content`` names, or ""."""
    for rule in (_NAMED_PLACE, _AT_PLACE, _PLACE):
        for match in rule.finditer(content):
            leading = _WHEN.match(match["place"])
            place = match["place"][leading.end() if leading else 0 :].strip(" ,，的")
            if len(place) >= 2:
                return place
    return ""


def _date(now_ms: int, zone: ZoneInfo) -> str:
    day = datetime.fromtimestamp(now_ms / 1000, zone)
    return f"{day.year}年{day.month}月{day.day}日星期{_WEEKDAYS[day.weekday()]}"
