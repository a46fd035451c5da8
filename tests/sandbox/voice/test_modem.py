"""Text as tones: exact in, exact out; and what breaks it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.voice import modem
from sandbox.voice.modem import Decoder, Heard
from sandbox.voice.speech import CALLEES, ROBOT, utterance
from sandbox.voice.tones import Pcm

RATE = 8000
FRAME = 160
SENTENCE = "您好，请问是张先生吗？我们是快递公司，想核对地址。"

TEXTS = st.text(
    st.one_of(
        st.sampled_from("您好请问是张先生吗我们快递公司想核对地址不用了再见"),
        st.sampled_from("，。？！、“”"),
        st.sampled_from("0123456789"),
        st.sampled_from("Hello, who is calling?"),
        st.sampled_from("😀👍🏽🇨🇳"),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=40,
)


def silence(milliseconds: int, rate: int = RATE) -> Pcm:
    return np.zeros(rate * milliseconds // 1000, np.int16)


def joined(*parts: Pcm) -> Pcm:
    return np.concatenate(parts)


def hear(pcm: Pcm, rate: int = RATE, frame: int = FRAME) -> list[Heard]:
    decoder = Decoder(rate)
    return [heard for at in range(0, len(pcm), frame) for heard in decoder.feed(pcm[at : at + frame])]


def text_of(pieces: list[Heard]) -> str:
    return "".join(piece.text for piece in pieces)


def mu_law(pcm: Pcm) -> Pcm:
    """There and back through G.711 mu-law (ITU-T G.711): 8 segments of 16 steps each."""
    clipped = np.minimum(np.abs(pcm.astype(np.int32)), 32635) + 132
    segment = np.floor(np.log2(clipped)).astype(np.int32) - 7
    step = clipped >> (segment + 3) & 15
    back = ((step << 3) + 132 << segment) - 132
    coded: Pcm = (np.sign(pcm) * back).astype(np.int16)
    return coded


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
@settings(max_examples=15, deadline=None)
@given(text=TEXTS)
def test_any_text_comes_back_exactly_at_any_rate(rate: int, text: str) -> None:
    pieces = hear(modem.encode(text, rate), rate)
    assert text_of(pieces) == text
    assert [piece.final for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert {piece.utterance_id for piece in pieces} == {0}
    assert not any(piece.lost for piece in pieces)


@settings(max_examples=30, deadline=None)
@given(text=TEXTS, offset=st.integers(0, 700), frame=st.integers(1, 3000))
def test_neither_the_offset_nor_the_size_of_frames_matters(text: str, offset: int, frame: int) -> None:
    pcm = joined(np.zeros(offset, np.int16), modem.encode(text, RATE))
    assert text_of(hear(pcm, frame=frame)) == text


@settings(max_examples=30, deadline=None)
@given(text=TEXTS, speaker=st.sampled_from((ROBOT, *CALLEES)))
def test_the_voice_underneath_does_not_disturb_the_tones(text: str, speaker: object) -> None:
    assert isinstance(speaker, type(ROBOT))
    spoken = utterance(text, RATE, speaker)
    assert text_of(hear(spoken.pcm)) == text
    assert text_of(hear(mu_law(spoken.pcm))) == text


def test_white_noise_50_db_below_full_scale_does_not_disturb() -> None:
    pcm = utterance(SENTENCE, RATE).pcm
    noise = np.random.default_rng(7).normal(0, 32768 * 10 ** (-50 / 20), len(pcm))
    assert text_of(hear(modem.mix(pcm, noise.astype(np.int16)))) == SENTENCE


def test_pieces_come_while_the_utterance_goes_on_and_never_before_they_were_said() -> None:
    spoken = utterance(SENTENCE, RATE)
    decoder = Decoder(RATE)
    known = 0
    for at in range(0, len(spoken.pcm), FRAME):
        decoded = text_of(decoder.feed(spoken.pcm[at : at + FRAME]))
        known += len(decoded)
        said = sum(word.end_sample <= at + FRAME for word in spoken.words)
        assert abs(known - said) <= 2  # a packet of two characters may end within this frame's last 5 ms
    assert known == len(SENTENCE)


def test_a_piece_tells_where_it_was() -> None:
    pcm = joined(silence(1000), modem.encode("好", RATE), silence(500))
    (piece,) = hear(pcm)
    assert abs(piece.start_sample - 8000) <= 20
    assert abs(piece.end_sample - (8000 + 1200)) <= 20


def test_tones_end_when_their_characters_end() -> None:
    ends = [4000, 8000, 9600]
    pieces = hear(joined(modem.encode("张先生", RATE, ends=ends), silence(50)))
    assert [piece.text for piece in pieces] == ["张", "先", "生"]
    assert all(abs(piece.end_sample - end) <= 60 for piece, end in zip(pieces, ends, strict=True))


def test_without_ends_the_characters_spread_over_the_samples() -> None:
    pcm = modem.encode("一二三四", RATE, samples=16000)
    assert len(pcm) == 16000
    pieces = hear(pcm)
    assert text_of(pieces) == "一二三四"
    assert pieces[-1].end_sample > 15000
    assert pieces[0].start_sample > 2000


def test_a_cut_utterance_gives_exactly_the_characters_that_were_heard() -> None:
    spoken = utterance(SENTENCE, RATE)
    for cut in range(0, len(spoken.pcm), 97):
        heard = text_of(hear(joined(spoken.pcm[:cut], silence(300))))
        surely = "".join(word.text for word in spoken.words if word.end_sample <= cut)
        nearly = "".join(word.text for word in spoken.words if word.end_sample - 90 <= cut)  # but for its last 11 ms
        assert heard in (surely, nearly)


@pytest.mark.parametrize("repeated", [160, 320])
@pytest.mark.parametrize("pause", [0, 480, 4003])
def test_an_utterance_paused_and_resumed_with_up_to_40_ms_repeated_is_whole_and_not_doubled(
    repeated: int, pause: int
) -> None:
    pcm = utterance(SENTENCE, RATE).pcm
    for cut in range(700, len(pcm) - 100, 463):
        resumed = joined(pcm[:cut], np.zeros(pause, np.int16), pcm[cut - repeated :], silence(50))
        assert text_of(hear(resumed)) == SENTENCE


@pytest.mark.parametrize("gap", [20, 40])
@pytest.mark.parametrize("dropped", [False, True])
def test_a_gap_or_a_dropped_frame_loses_at_most_the_packets_it_touches_and_is_noticed(gap: int, dropped: bool) -> None:
    pcm = modem.encode("一二三四五六七八九十", RATE, samples=12800)  # a packet for each
    size = RATE * gap // 1000
    for cut in range(2560, 8960, 211):
        hurt = joined(pcm[:cut], pcm[cut + size :]) if dropped else joined(pcm[:cut], silence(gap), pcm[cut + size :])
        pieces = hear(hurt)
        missing = 10 - len(text_of(pieces))
        assert text_of(pieces)[:2] == "一二"
        assert text_of(pieces)[-2:] == "九十"
        assert 1 <= missing <= 2
        assert sum(piece.lost for piece in pieces) == missing


def test_16_khz_audio_taken_for_8_khz_says_nothing_and_so_does_the_reverse() -> None:
    assert hear(utterance(SENTENCE, 16000).pcm, 8000) == []
    assert hear(utterance(SENTENCE, 8000).pcm, 16000) == []


def test_swapped_bytes_say_nothing() -> None:
    assert hear(utterance(SENTENCE, RATE).pcm.byteswap()) == []


def test_bytes_shifted_by_one_say_nothing() -> None:
    raw = utterance(SENTENCE, RATE).pcm.tobytes()
    assert hear(np.frombuffer(raw[1:-1], np.int16)) == []


def test_stereo_taken_for_mono_says_nothing() -> None:
    left, right = utterance(SENTENCE, RATE).pcm, silence(6000)[: len(utterance(SENTENCE, RATE).pcm)]
    assert hear(np.stack((left, right[: len(left)]), axis=1).ravel()) == []


def test_two_talkers_in_one_channel_are_not_understood_where_they_overlap() -> None:
    one = utterance("今天天气很好，我们一起出去走走吧。", RATE, CALLEES[0]).pcm
    other = utterance("您好，请问是张先生吗？这里是客服中心。", RATE, ROBOT).pcm
    length = min(len(one), len(other))
    understood = text_of(hear(modem.mix(one[:length], other[:length])))
    assert len(understood) <= 4  # a packet that fell into the other's pause


@pytest.mark.parametrize("kind", ["silence", "noise", "voice", "beep"])
def test_audio_without_tones_gives_no_text(kind: str) -> None:
    from sandbox.voice.espeak import speak

    time = np.arange(RATE * 10) / RATE
    audio = {
        "silence": silence(10_000),
        "noise": np.random.default_rng(3).normal(0, 3000, RATE * 10).astype(np.int16),
        "voice": speak(SENTENCE * 3),
        "beep": (8000 * np.sin(2 * np.pi * 2600 * time)).astype(np.int16),
    }[kind]
    assert hear(audio) == []


def test_two_utterances_back_to_back_are_told_apart() -> None:
    first, second = utterance("喂？", RATE).pcm, utterance("喂？", RATE).pcm
    pieces = hear(joined(first, second, utterance("再见。", RATE).pcm, silence(20)))
    assert text_of(pieces) == "喂？喂？再见。"
    assert [piece.utterance_id for piece in pieces if piece.final] == [0, 1, 2]


def test_an_utterance_cut_by_another_is_told_apart() -> None:
    first, second = utterance(SENTENCE, RATE).pcm, utterance("好的，再见。", RATE).pcm
    pieces = hear(joined(first[:16000], second, silence(20)))
    assert text_of([piece for piece in pieces if piece.utterance_id == 1]) == "好的，再见。"
    assert SENTENCE.startswith(text_of([piece for piece in pieces if piece.utterance_id == 0]))


def test_a_stream_joined_in_the_middle_gives_what_follows() -> None:
    spoken = utterance(SENTENCE, RATE)
    for start in range(1000, len(spoken.pcm) - 8000, 1777):
        heard = text_of(hear(spoken.pcm[start:]))
        assert heard
        assert SENTENCE.endswith(heard)


def test_an_utterance_of_more_packets_than_numbers_is_whole() -> None:
    text = "".join(chr(0x4E00 + place) for place in range(600))
    pieces = hear(modem.encode(text, RATE, samples=RATE * 120))
    assert text_of(pieces) == text
    assert {piece.utterance_id for piece in pieces} == {0}
    assert len(pieces) > 256


def test_tones_are_quieter_than_the_voice() -> None:
    pcm = modem.encode(SENTENCE, RATE, dbfs=-27)
    loud = pcm[: len(pcm) // 2].astype(float)
    assert -29 < 20 * np.log10(np.sqrt(np.mean(loud**2)) / 32768) < -26


def test_mix_clips_instead_of_wrapping_and_pads_the_shorter() -> None:
    mixed = modem.mix(np.array([32000, -32000, 5], np.int16), np.array([32000, -32000], np.int16))
    assert mixed.tolist() == [32767, -32768, 5]


@pytest.mark.parametrize(
    ("text", "rate", "ends", "named"),
    [("好", 4000, None, "7000"), ("好的", 8000, [1], "2 characters"), ("\ud800", 8000, None, "surrogates")],
)
def test_what_cannot_be_carried_is_refused(text: str, rate: int, ends: list[int] | None, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        modem.encode(text, rate, ends=ends)


def test_empty_text_is_silence() -> None:
    assert modem.encode("", RATE, samples=100).tolist() == [0] * 100


@settings(max_examples=25, deadline=None)
@given(junk=st.binary(max_size=8000))
def test_any_bytes_are_survived(junk: bytes) -> None:
    pcm = np.frombuffer(junk[: len(junk) & ~1], np.int16)
    assert text_of(hear(joined(pcm, silence(50), modem.encode("好的", RATE)))).endswith("好的")
