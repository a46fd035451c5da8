"""Prompts are kept in bounds, survive a restart, and never come back damaged."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.speech.ports import SynthesisOptions
from media.speech.prompts import LONGEST_AUDIO, PromptCache, prompt_key

OPTIONS = SynthesisOptions(provider="p", model="m", speaker="s")


def load(cache: PromptCache, key: str) -> bytes | None:
    return asyncio.run(cache.load(key))


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "q"},
        {"endpoint": "wss://trial"},
        {"model": "n"},
        {"speaker": "t"},
        {"volume": 6},
        {"speed": 1.2},
        {"speed": 1.25},
        {"emotion": "happy"},
        {"language": "en"},
        {"samplerate": 16000},
        {"extra": {"pitch": 2}},
    ],
)
def test_everything_that_shapes_the_audio_makes_another_prompt(change: dict[str, object]) -> None:
    assert prompt_key(OPTIONS, "您好") != prompt_key(dataclasses.replace(OPTIONS, **change), "您好")


def test_the_key_does_not_depend_on_blanks_around_the_text_or_on_our_account() -> None:
    other = dataclasses.replace(OPTIONS, key="k2")
    assert prompt_key(OPTIONS, "您好") == prompt_key(other, " 您好 ")
    assert prompt_key(OPTIONS, "您好") != prompt_key(OPTIONS, "您好。")


def test_the_longest_unused_goes_first_when_memory_is_full() -> None:
    cache = PromptCache(None, memory_bytes=300)
    for name in "abc":
        cache.put(name, bytes(100))
    cache.recall("a")
    cache.put("d", bytes(100))
    assert [name in cache for name in "abcd"] == [True, False, True, True]
    cache.close()


def test_what_is_wanted_twice_survives_a_restart(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path)
    cache.put("once", b"ab")
    cache.put("twice", b"cd")
    assert cache.recall("twice") == b"cd"
    cache.put("kept", b"ef", keep=True)
    cache.close()
    again = PromptCache(tmp_path)
    assert ("once" in again, "twice" in again, "kept" in again) == (False, True, True)
    assert again.recall("twice") is None
    assert load(again, "twice") == b"cd"
    assert again.recall("twice") == b"cd"
    again.close()


@pytest.mark.parametrize("damage", [b"", b"WHP1", b"WHP1" + bytes(16) + b"xx", b"nonsense" * 10])
def test_a_damaged_file_counts_as_absent_and_is_removed(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "k.prompt").write_bytes(damage)
    cache = PromptCache(tmp_path)
    assert load(cache, "k") is None
    assert "k" not in cache
    assert list(tmp_path.iterdir()) == []
    cache.close()


@given(cut=st.integers(0, 119))
def test_a_file_cut_anywhere_counts_as_absent(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    directory = tmp_path_factory.mktemp("prompts")
    cache = PromptCache(directory)
    cache.put("k", bytes(range(100)), keep=True)
    cache.close()
    file = directory / "k.prompt"
    file.write_bytes(file.read_bytes()[:cut])
    again = PromptCache(directory)
    assert load(again, "k") is None
    again.close()


def test_the_files_stay_within_their_bound(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path, files_bytes=250)
    for name in "abcd":
        cache.put(name, bytes(100), keep=True)
    cache.close()
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["c", "d"]


def test_a_directory_that_cannot_be_written_costs_nothing_but_the_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = PromptCache(tmp_path / "file")
    cache.put("a", b"ab", keep=True)
    assert cache.recall("a") == b"ab"
    cache.close()
    assert "stay in memory" in caplog.text


@pytest.mark.parametrize("audio", [b"", bytes(LONGEST_AUDIO + 2)])
def test_nothing_and_too_much_are_no_prompts(audio: bytes) -> None:
    cache = PromptCache(None)
    cache.put("a", audio)
    assert "a" not in cache
    cache.close()
