"""Recordings as the call goes, on a real disk and a real thread."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from media import recorder as recorder_module
from media.audio.wav import parse, read
from media.part import PartFiles
from media.recorder import Recorder, Recording
from media.stage import Block, Late
from shared.errors import RecordingPathError
from shared.recordings import MAX_PARTS, parts
from tests.small_disk import small_disk

STEM = "ai_call/2026/11/20/13/2611201346001234567"
PATIENCE_S = 20.0


def ramp(start: int, samples: int) -> bytes:
    return (np.arange(start, start + samples) % 30_000 + 1).astype(np.int16).tobytes()


def wait_until(condition: Callable[[], bool]) -> None:
    """What another thread or process does cannot be awaited; it is asked for again and again."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def open_files() -> list[str]:
    """What this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    return [str(link.resolve()) for link in folder.iterdir()] if folder.is_dir() else []


def recording_scenario(root: Path, play: Callable[[Recorder, list[Exception]], Awaitable[None]]) -> None:
    """Runs ``play`` with a recorder that is stopped afterwards."""

    async def scenario() -> None:
        failures: list[Exception] = []
        recorder = Recorder(asyncio.get_running_loop(), root, lambda _, failure: failures.append(failure))
        recorder.start()
        try:
            await play(recorder, failures)
        finally:
            await recorder.stop()

    asyncio.run(scenario())


def test_both_voices_are_where_they_were_on_the_timeline(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        for start in range(0, 24_000, 160):
            recording.customer(start, ramp(start, 160))
            if start >= 8000:
                recording.ours(start + 480, [memoryview(ramp(start, 160))])
        closed = await recording.close()
        assert (closed.part, closed.samples, closed.dropped_samples) == (1, 24_480, 0)
        assert closed.wav is not None
        rate, samples = read(closed.wav.read_bytes())
        assert rate == 8000
        assert samples[:24_000, 0].tobytes() == ramp(0, 24_000)
        assert samples[8480:24_480, 1].tobytes() == ramp(8000, 16_000)
        assert not samples[:8480, 1].any()
        assert failures == []

    recording_scenario(tmp_path, play)


def test_what_was_flushed_unheard_is_silent(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        recording.ours(0, [ramp(0, 160) for _ in range(100)])
        recording.erase_ours(15_000, 16_000)
        recording.erase_ours(2000, 2100)
        recording.erase_ours(50, 50)
        closed = await recording.close()
        assert closed.wav is not None
        _, samples = read(closed.wav.read_bytes())
        assert len(samples) == 16_000
        silent = np.flatnonzero(samples[:, 1] == 0).tolist()
        assert silent == [*range(2000, 2100), *range(15_000, 16_000)]

    recording_scenario(tmp_path, play)


def test_each_owner_writes_a_part_of_its_own(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        first = await recorder.open(STEM)
        second = await recorder.open(STEM)
        first.customer(0, ramp(0, 800))
        second.line(b"{}\n")
        await first.close()
        third = await recorder.open(STEM)
        assert [each.part for each in (first, second, third)] == [1, 2, 3]
        await second.close()
        await third.close()
        assert len(parts(tmp_path, STEM, "wav")) == 3
        assert [path.read_bytes() for path in parts(tmp_path, STEM, "jsonl")] == [b"", b"{}\n", b""]
        assert parse((tmp_path / f"{STEM}.wav").read_bytes()).frames == 800

    recording_scenario(tmp_path, play)


def test_a_call_whose_socket_comes_and_goes_for_ever_is_refused(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        for _ in range(MAX_PARTS):
            await (await recorder.open(STEM, audio=False)).close()
        with pytest.raises(RecordingPathError, match="at most 50 parts"):
            await recorder.open(STEM)

    recording_scenario(tmp_path, play)


def test_a_line_is_in_the_file_without_waiting_for_the_call_to_end(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM, audio=False)
        lines = [b'{"n":%d}\n' % number for number in range(200)]
        for line in lines:
            recording.line(line)
        await asyncio.to_thread(wait_until, lambda: recording.transcript.read_bytes() == b"".join(lines))
        assert recording.wav is None

    recording_scenario(tmp_path, play)


def test_a_line_that_does_not_hurry_is_written_at_the_next_look(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        recording.line(b"so far\n", hurry=False)
        await asyncio.to_thread(wait_until, lambda: recording.transcript.read_bytes() == b"so far\n")

    recording_scenario(tmp_path, play)


def test_nothing_is_taken_after_close_and_closing_twice_is_one(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        recording.customer(0, ramp(0, 160))
        both = await asyncio.gather(recording.close(), recording.close())
        recording.customer(160, ramp(160, 160))
        recording.ours(0, [ramp(0, 160)])
        recording.line(b"late\n")
        assert both[0] == both[1] == await recording.close()
        assert both[0].samples == 160
        assert recording.transcript.read_bytes() == b""

    recording_scenario(tmp_path, play)


def test_stopping_closes_what_is_open(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        recording.customer(0, ramp(0, 320))
        recording.line(b"one\n")

    recording_scenario(tmp_path, play)
    assert parse((tmp_path / f"{STEM}.wav").read_bytes()).frames == 320
    assert (tmp_path / f"{STEM}.jsonl").read_bytes() == b"one\n"


def test_after_stop_nothing_can_be_opened(tmp_path: Path) -> None:
    async def scenario() -> None:
        recorder = Recorder(asyncio.get_running_loop(), tmp_path, lambda *_: None)
        recorder.start()
        await recorder.stop()
        with pytest.raises(RuntimeError, match="not stopped"):
            await recorder.open(STEM)

    asyncio.run(scenario())


def test_a_directory_that_cannot_be_made_is_an_error_of_open(tmp_path: Path) -> None:
    (tmp_path / "ai_call").write_text("in the way")

    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        with pytest.raises(OSError, match="ai_call"):
            await recorder.open(STEM)

    recording_scenario(tmp_path, play)


def test_an_open_that_nobody_waits_for_any_more_leaves_no_open_file(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        opening = asyncio.ensure_future(recorder.open(STEM))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        second = await recorder.open(STEM)
        assert second.part == 2
        await second.close()
        await asyncio.to_thread(wait_until, lambda: not any(STEM in target for target in open_files()))

    recording_scenario(tmp_path, play)


def test_a_full_disk_is_reported_once_and_the_call_goes_on(tmp_path: Path) -> None:
    """A real limit on the size of files stands in for the disk: the kernel refuses with EFBIG instead of ENOSPC."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
        for start in range(0, 80_000, 160):
            recording.customer(start, ramp(start, 160))
        recording.line(b"heard\n")
        closed = await recording.close()
        await asyncio.sleep(0)
        assert [getattr(failure, "errno", None) for failure in failures] == [errno.EFBIG]
        assert closed.dropped_samples > 60_000
        assert closed.dropped_lines == 0
        assert recording.transcript.read_bytes() == b"heard\n"
        _, samples = read((tmp_path / f"{STEM}.wav").read_bytes())
        assert samples[: closed.samples, 0].tobytes() == ramp(0, closed.samples)

    try:
        recording_scenario(tmp_path, play)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_what_a_full_disk_refused_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    """As long as the call goes on: both its sound and its lines, whole and once."""

    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        recording.line(b'{"n":1}\n')
        recording.customer(0, ramp(0, 8_000))
        await asyncio.to_thread(wait_until, lambda: recording.transcript.stat().st_size > 0)
        disk.fill()
        recording.customer(8_000, ramp(8_000, 80_000))
        for number in range(2, 1_000):
            recording.line(b'{"n":%d}\n' % number)
        await asyncio.to_thread(wait_until, lambda: len(failures) == 2)
        disk.clear()
        recording.customer(88_000, ramp(88_000, 8_000))
        closed = await recording.close()
        assert {getattr(failure, "errno", None) for failure in failures} == {errno.ENOSPC}
        assert (closed.samples, closed.dropped_samples, closed.dropped_lines) == (96_000, 0, 0)
        lines = recording.transcript.read_bytes().split(b"\n")
        assert [line for line in lines if line.endswith(b"}")] == [b'{"n":%d}' % number for number in range(1, 1_000)]
        _, samples = read((disk.root / f"{STEM}.wav").read_bytes())
        assert samples[:, 0].tobytes() == ramp(0, 96_000)

    with small_disk(tmp_path / "disk", 4) as disk:
        recording_scenario(disk.root, play)


def test_what_nobody_foresaw_costs_one_recording_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = PartFiles.write

    def broken(files: PartFiles, piece: Block | Late) -> None:
        if files.number == 1:
            raise ZeroDivisionError
        real(files, piece)

    monkeypatch.setattr(PartFiles, "write", broken)

    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        first, second = await recorder.open(STEM), await recorder.open(STEM)
        for start in range(0, 16_000, 160):
            first.customer(start, ramp(start, 160))
            second.customer(start, ramp(start, 160))
        first.line(b"heard\n")
        closed, whole = await first.close(), await second.close()
        await asyncio.sleep(0)
        assert [type(failure) for failure in failures] == [ZeroDivisionError]
        assert recorder.failures == 1
        assert (closed.dropped_samples, closed.dropped_lines) == (16_000, 0)
        assert (whole.samples, whole.dropped_samples) == (16_000, 0)
        assert first.transcript.read_bytes() == b"heard\n"

    recording_scenario(tmp_path, play)


def test_a_disk_that_stalls_fills_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    real = PartFiles.write

    def stalled(files: PartFiles, piece: Block | Late) -> None:
        gate.wait(PATIENCE_S)
        real(files, piece)

    monkeypatch.setattr(PartFiles, "write", stalled)
    monkeypatch.setattr(recorder_module, "BACKLOG_BYTES", 100_000)

    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        for start in range(0, 160_000, 160):
            recording.customer(start, ramp(start, 160))
        dropped = recording.dropped_samples
        gate.set()
        closed = await recording.close()
        assert [getattr(failure, "errno", None) for failure in failures] == [errno.EBUSY]
        assert dropped >= 160_000 - (100_000 // 4) - 3 * 3200 - 5200
        assert closed.dropped_samples == recording.dropped_samples

    recording_scenario(tmp_path, play)


def test_audio_that_is_much_too_late_is_counted_and_dropped(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording = await recorder.open(STEM)
        recording.customer(160_000, ramp(0, 160))
        recording.customer(100_000, ramp(0, 160))
        recording.customer(1000, ramp(0, 160))
        closed = await recording.close()
        assert closed.dropped_samples == 160
        assert closed.wav is not None
        _, samples = read(closed.wav.read_bytes())
        assert samples[100_000:100_160, 0].tobytes() == ramp(0, 160)
        assert not samples[1000:1160].any()

    recording_scenario(tmp_path, play)


def test_killed_in_mid_call_all_but_the_last_second_is_there(tmp_path: Path) -> None:
    script = """
        import asyncio, sys, time
        import numpy as np
        from pathlib import Path
        from media.recorder import Recorder

        async def main():
            recorder = Recorder(asyncio.get_running_loop(), Path(sys.argv[1]), lambda *_: None)
            recorder.start()
            recording = await recorder.open(sys.argv[2])
            values = (np.arange(48_000) % 30_000 + 1).astype(np.int16)
            for start in range(0, 40_000, 160):
                recording.customer(start, values[start:start + 160].tobytes())
                recording.ours(start + 480, [values[start:start + 160].tobytes()])
                if start == 38_400:
                    recording.line(b'{"said":"before"}\\n')
            print("fed", flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), STEM],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"fed\n"
        # All but the last second (8000 frames of 4 bytes) has to come to the file by itself.
        wait_until(lambda: (tmp_path / f"{STEM}.wav").stat().st_size >= 44 + 4 * (40_480 - 8000))
        wait_until(lambda: (tmp_path / f"{STEM}.jsonl").stat().st_size > 0)
        process.kill()
    data = (tmp_path / f"{STEM}.wav").read_bytes()
    rate, samples = read(data)
    assert rate == 8000
    assert samples[:40_000, 0].tobytes() == ramp(0, min(len(samples), 40_000))
    assert samples[480:, 1].tobytes() == ramp(0, len(samples) - 480)
    assert (tmp_path / f"{STEM}.jsonl").read_bytes() == b'{"said":"before"}\n'


def test_rates_other_than_8_khz(tmp_path: Path) -> None:
    async def play(recorder: Recorder, failures: list[Exception]) -> None:
        recording: Recording = await recorder.open(STEM, rate=16_000)
        recording.customer(0, ramp(0, 320))
        await recording.close()
        assert parse((tmp_path / f"{STEM}.wav").read_bytes()).rate == 16_000

    recording_scenario(tmp_path, play)
