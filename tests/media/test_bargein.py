"""Barge-in and its reversal."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media.bargein import Action, BargeIn, BargeInRule, BargeInState, real_words

LISTENING = """
知道了|我知道了|嗯知道了|知道了知道了|好的知道了|哦知道了|嗯嗯知道了|明白了|我明白了|嗯明白|明白明白|好的明白了|了解了|嗯了解|
了解了解|清楚了|听清楚了|清楚|听明白了|听懂了|懂了|我懂了|懂懂懂|收到|收到了|收到收到|记住了|记下了|我记下了|我记住了|谢谢|
谢谢你|谢谢您|谢谢啊|谢谢了|好的谢谢|嗯谢谢|谢谢谢谢|多谢|感谢|感谢感谢|谢啦|辛苦了|您辛苦了|没事|没事没事|没事的|没关系|
没关系的|没问题|没问题的|好的没问题|好了|嗯好|嗯好的|嗯好了|好好好|好好|好呀|好哒|好滴|好咧|好哦|好的呀|好的吧|好的好的|
好的好的谢谢|好吧好吧|那好|那行|那好吧|那可以|行行行|行行|行啊|行的行的|可以可以|可以的|可以啊|是是是|是的是的|是呀|是哦|
是这样|是这样啊|哦是这样|是吗|哦是吗|是嘛|对对对|对对|对的对的|对啊|对呀|对哦|对没错|没错没错|嗯对|嗯是的|嗯嗯嗯|嗯哼|
哦哦哦|噢噢|哦这样|哦这样啊|这样子|这样子啊|哦这样子|原来如此|原来这样|原来是这样|哦原来是这样啊|哎呀|哎呦|哇|哇哦|哈哈|
哈哈哈|嘿嘿|呵呵|嗯你说|你说|您说|你说吧|您说吧|你讲|请讲|请说|你继续|您继续|继续|你继续说|我在听|在听|我听着呢|听着呢|
嗯我在听|在呢|我在|确实|确实是|的确|行了|嗯行|OK|嗯ok|thanks|thank you|got it|I see|
no problem|of course|okay thank you|uh huh got it|understood|
sounds good|go on|嗯，谢谢。|好，知道了。|行，我知道了，谢谢你啊。|嗯，好的，那好的
""".replace("\n", "").split("|")
CUTTING_IN = """
不要|不用|不用了|不是|不对|不知道|我不知道|不明白|没明白|没听清|不清楚|不行|不可以|不好|不好意思|等一下|等等|稍等|喂|喂喂|
你好|什么|啊什么|谁|哪位|哪里|你是谁|是谁|怎么|为什么|几点|多少钱|对不起|对了|对吗|对不对|好像不对|好像|好久|好贵|好吗|
好了吗|好不好|行不行|行吗|可以吗|可不可以|是不是|是什么|是不是真的|知道吗|你知道吗|知道什么|明白吗|明白什么|清楚吗|了解一下|
没事吧|没事的话我先挂了|没事我挂了|没问题吗|没问题的话呢|谢谢不用|谢谢不需要|谢谢再见|好的再见|再见|拜拜|你说什么|你说啥|
你说的是什么|你说慢点|你继续说慢一点|继续什么|我在开会|我在忙|在听什么|我听不清|我在外面|我知道了但是|知道了别说了|好了好了|
好了别说了|好了我知道了别打了|行了别说了|别说了|别打了|停|停一下|够了|打住|算了|免了|没有|没有了|没收到|收到什么|收到没有|
还没收到|当然不|当然不行|同意不了|确实没有|确实不需要|有道理但是|不错什么|很好笑吗|挺好的什么|太贵了|这样不行|这样吧|这样子不好|
原来你是|机器人|人工|转人工|再说一遍|请问|请讲慢点|请说普通话|感谢个屁|谢谢你全家|那好像|那行不行|那可以几点|哈尔滨|哇塞什么|
是嘛不对|stop|wait|no|no thanks|what|who is this|I don't know|got what|
go away|thank you but no|not good|sounds bad|see you|嗯不|哦不|啊不是|嗯那个|那个|
我想问|我想|我|你|他|可是|但是|好了，好了|行了行了|行了，行了，别说了|对了我问你|是这样的我想问
""".replace("\n", "").split("|")


def playing(min_words: int = 1) -> BargeIn:
    barge = BargeIn(BargeInRule(min_words=min_words))
    barge.play_started(0.0)
    return barge


@pytest.mark.parametrize(
    "text",
    ["嗯", "啊", "哦", "对", "好", "好的", "是的", "行", "嗯嗯", "对对对", "嗯，好的。", "uh-huh", "yeah, ok", "Mm-hmm.", "好的好的", "是的是的，对", "", "。", "OK好的",
     "知道了", "嗯，知道了。", "明白了", "好了", "谢谢", "好嘞谢谢", "没事", "嗯好的我知道了", "行，谢谢您"],
)  # fmt: skip
def test_backchannels_are_no_real_words(text: str) -> None:
    assert real_words(text) == 0


@pytest.mark.parametrize("text", LISTENING)
def test_who_listens_says_so_in_many_ways(text: str) -> None:
    assert real_words(text) == 0


@pytest.mark.parametrize("text", CUTTING_IN)
def test_who_wants_something_is_heard_though_it_begins_alike(text: str) -> None:
    assert real_words(text) > 0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("不要", 2),
        ("等一下", 3),
        ("对不起", 2),
        ("好像不对", 3),
        ("嗯不是", 2),
        ("是谁", 1),
        ("wait a second", 3),
        ("yeah but no", 2),
        ("ok stop", 1),
        ("嗯 stop", 1),
        ("行不行", 2),
        ("喂", 1),
    ],
)
def test_everything_else_counts_per_character_or_word(text: str, count: int) -> None:
    assert real_words(text) == count


def test_the_first_sign_of_speech_pauses() -> None:
    barge = playing()
    assert barge.speech_started(1.0) is Action.PAUSE
    assert barge.state is BargeInState.PAUSED
    assert barge.deadline == 1.5


def test_a_real_word_interrupts_at_once() -> None:
    barge = playing()
    barge.speech_started(1.0)
    assert barge.text("不要") is Action.INTERRUPT
    assert barge.state is BargeInState.DROPPED
    assert barge.deadline is None


@pytest.mark.parametrize("text", ["嗯", "对对对", "好的", "uh-huh"])
def test_a_backchannel_lets_our_voice_go_on(text: str) -> None:
    barge = playing()
    barge.speech_started(1.0)
    assert barge.text(text) is None
    assert barge.poll(1.49) is None
    assert barge.poll(1.5) is Action.RESUME
    assert barge.state is BargeInState.PLAY


def test_a_cough_lets_our_voice_go_on_as_soon_as_it_ends() -> None:
    barge = playing()
    barge.speech_started(1.0)
    assert barge.speech_ended() is Action.RESUME
    assert barge.poll(2.0) is None


def test_speech_that_goes_on_without_text_interrupts_at_the_verdict() -> None:
    barge = playing()
    barge.speech_started(1.0)
    assert barge.poll(1.5) is Action.INTERRUPT


def test_a_single_real_word_below_the_minimum_interrupts_if_speech_goes_on() -> None:
    barge = playing(min_words=3)
    barge.speech_started(1.0)
    assert barge.text("喂") is None
    assert barge.poll(1.5) is Action.INTERRUPT


def test_words_that_come_after_the_resumption_still_interrupt() -> None:
    barge = playing()
    barge.speech_started(1.0)
    barge.speech_ended()
    assert barge.text("不要") is Action.INTERRUPT


def test_more_after_a_backchannel_interrupts() -> None:
    barge = playing()
    barge.speech_started(1.0)
    barge.text("嗯")
    barge.poll(1.5)
    assert barge.text("嗯，我不要") is Action.INTERRUPT


def test_backchannels_do_not_add_up_to_an_interruption() -> None:
    barge = playing(min_words=2)
    for second in range(1, 20):
        assert barge.speech_started(float(second)) is Action.PAUSE
        assert barge.text("喂") is None
        assert barge.text("喂") is None
        assert barge.speech_ended() is Action.RESUME


def test_a_play_that_must_not_be_interrupted_is_not_even_paused() -> None:
    barge = BargeIn()
    barge.play_started(0.0, interruptible=False)
    assert barge.speech_started(1.0) is None
    assert barge.text("不要说了") is None
    assert barge.state is BargeInState.PLAY


def test_such_a_play_ends_a_pause() -> None:
    barge = playing()
    barge.speech_started(1.0)
    assert barge.play_started(1.1, interruptible=False) is Action.RESUME
    assert barge.state is BargeInState.PLAY


def test_a_play_that_begins_while_someone_begins_to_speak_is_paused() -> None:
    barge = BargeIn()
    assert barge.speech_started(1.0) is None
    assert barge.play_started(1.3) is Action.PAUSE


def test_a_noisy_line_does_not_silence_us_for_ever() -> None:
    barge = BargeIn()
    barge.speech_started(1.0)
    assert barge.play_started(9.0) is None
    assert barge.state is BargeInState.PLAY


def test_nothing_happens_while_we_say_nothing() -> None:
    barge = BargeIn()
    assert barge.speech_started(1.0) is None
    assert barge.text("不要") is None
    assert barge.speech_ended() is None
    assert barge.poll(9.0) is None
    assert barge.state is BargeInState.IDLE


def test_after_an_interruption_nothing_more_until_the_next_play() -> None:
    barge = playing()
    barge.speech_started(1.0)
    barge.text("不要")
    barge.play_ended()
    assert barge.state is BargeInState.DROPPED
    assert barge.text("不要再打了") is None
    barge.speech_ended()
    barge.play_started(3.0)
    assert barge.state is BargeInState.PLAY


def test_a_play_that_ends_while_paused_ends_the_pause() -> None:
    barge = playing()
    barge.speech_started(1.0)
    barge.play_ended()
    assert barge.state is BargeInState.IDLE
    assert barge.poll(2.0) is None


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        BargeInRule(min_words=0)


class Voice(RuleBasedStateMachine):
    """Any order of events; ``leaving`` is what a session that obeys every action would be doing."""

    def __init__(self) -> None:
        super().__init__()
        self.barge = BargeIn()
        self.now = 0.0
        self.queued = False
        self.leaving = False
        self.paused_at: float | None = None

    def obey(self, action: Action | None) -> None:
        if action is Action.PAUSE:
            assert self.leaving, "only what leaves can be paused"
            self.leaving, self.paused_at = False, self.now
        elif action is Action.RESUME:
            assert self.paused_at is not None, "only what was paused can go on"
            self.leaving, self.paused_at = True, None
        elif action is Action.INTERRUPT:
            assert self.queued, "there must be something to interrupt"
            self.queued = self.leaving = False
            self.paused_at = None

    @rule(interruptible=st.booleans())
    def play(self, interruptible: bool) -> None:
        if self.paused_at is None:
            self.leaving = True
        self.queued = True
        self.obey(self.barge.play_started(self.now, interruptible=interruptible))

    @rule()
    def play_ends(self) -> None:
        self.queued = self.leaving = False
        self.paused_at = None
        self.barge.play_ended()

    @rule()
    def speech_starts(self) -> None:
        self.obey(self.barge.speech_started(self.now))

    @rule()
    def speech_ends(self) -> None:
        self.obey(self.barge.speech_ended())

    @rule(text=st.sampled_from(["", "嗯", "好的", "不要", "wait", "嗯等等"]))
    def text(self, text: str) -> None:
        self.obey(self.barge.text(text))

    @rule(seconds=st.floats(0, 2))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.barge.poll(self.now))

    @invariant()
    def the_state_says_what_our_voice_does(self) -> None:
        assert self.leaving == (self.barge.state is BargeInState.PLAY)
        assert (self.paused_at is not None) == (self.barge.state is BargeInState.PAUSED)

    @invariant()
    def a_pause_has_a_deadline_and_nothing_else_has(self) -> None:
        assert (self.barge.deadline is not None) == (self.barge.state is BargeInState.PAUSED)

    @invariant()
    def no_pause_outlives_its_verdict(self) -> None:
        if self.paused_at is not None:
            assert self.now - self.paused_at <= 0.5


Voice.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestVoice = Voice.TestCase


def test_a_play_that_begins_into_words_of_an_open_turn_is_interrupted() -> None:
    barge_in = BargeIn(BargeInRule(turns=True))
    barge_in.speech_started(0.0)
    barge_in.text("等一下")
    assert barge_in.play_started(1.0) is Action.PAUSE
    assert barge_in.deadline == 1.0
    assert barge_in.poll(1.0) is Action.INTERRUPT


def test_a_play_that_answers_them_is_not() -> None:
    barge_in = BargeIn(BargeInRule(turns=True))
    barge_in.speech_started(0.0)
    barge_in.text("等一下")
    barge_in.turn_over()
    assert barge_in.play_started(1.0) is None


def test_nor_is_any_where_nobody_tells_the_end_of_turns() -> None:
    barge_in = BargeIn()
    barge_in.speech_started(0.0)
    barge_in.text("等一下")
    barge_in.speech_ended()
    assert barge_in.play_started(1.0) is None
