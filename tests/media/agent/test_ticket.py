"""What is found in a ticket's content."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.ticket import FIELDS, LONGEST_CONTENT, closed, find_when, find_where, sample_fields, ticket_fields
from shared.bus import Briefing


@pytest.mark.parametrize(
    ("content", "when", "where"),
    [
        ("尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。", "本周末", ""),
        ("关于新用户首次体验的回访电话。", "", ""),
        ("提醒您2026年1月10日下午3点在杭州国际博览中心参加年会。", "2026年1月10日下午3点", "杭州国际博览中心"),
        ("您预约的1月5日上午9:30的口腔科门诊，地点：人民医院门诊楼3楼。", "1月5日上午9:30", "人民医院门诊楼3楼"),
        ("活动时间：周六上午十点到下午五点，地址在西湖区文三路138号。", "周六上午十点到下午五点", "西湖区文三路138号"),
        ("邀请您明天晚上7点到上海音乐厅出席发布会", "明天晚上7点", "上海音乐厅"),
        ("请于1月15日前到营业厅办理续费", "1月15日前", "营业厅"),
        ("您的订单已经到了。", "", ""),
    ],
)
def test_time_and_place_are_found(content: str, when: str, where: str) -> None:
    assert (find_when(content), find_where(content)) == (when, where)


@given(st.text(alphabet="0123456789年月日号点分上下午周一二三在到去地址：:路街，。 的", max_size=60))
def test_whatever_is_found_is_in_the_content(content: str) -> None:
    assert find_when(content) in content
    assert find_where(content) in content


def test_fields_are_one_line_each_and_bounded() -> None:
    briefing = Briefing(
        uuid="1",
        call_id="2",
        batch_id=3,
        created_at=0,
        caller="1",
        number="2",
        ticket_no="T1",
        username=" 张\n三 ",
        ticket_type="活动通知1",
        ticket_content="第一行\n第二行" + "长" * 2000,
    )
    fields = ticket_fields(briefing, 1_767_153_838_953, ZoneInfo("Asia/Shanghai"))
    assert set(fields) == set(FIELDS) == set(sample_fields())
    assert fields["username"] == "张 三"
    assert fields["ticketContent"].startswith("第一行 第二行长")
    assert len(fields["ticketContent"]) == LONGEST_CONTENT + 1
    assert fields["today"] == "2025年12月31日星期三"


@pytest.mark.parametrize(
    ("content", "spoken"),
    [
        ("你好", "你好。"),
        ("请带好证件，", "请带好证件。"),
        ("您来吗？", "您来吗？"),
        ("他说：“来。”", "他说：“来。”"),
        ("请到三楼（带证件）", "请到三楼（带证件）。"),
        ("The meeting is at 10:30", "The meeting is at 10:30."),
        ("Thank you.", "Thank you."),
        ("", ""),
    ],
)
def test_content_ends_with_a_full_stop_so_that_the_question_does_not_run_into_it(content: str, spoken: str) -> None:
    assert closed(content) == spoken
