"""``make bench`` on a machine without PostgreSQL: what needs one is skipped and says so, and the run does not fail."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.postgres
from benchmarks import dispatch, processes, scale
from benchmarks.__main__ import main
from benchmarks.postgres import NEEDING


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No initdb on the PATH, and none where Debian puts it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tests.postgres, "DEBIAN_BINARIES", tmp_path)


@pytest.mark.usefixtures("bare_machine")
def test_what_needs_postgresql_is_skipped_with_one_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", *NEEDING]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line and not line.startswith("---")]
    assert len(lines) == len(NEEDING)
    for name, line in zip(NEEDING, lines, strict=True):
        assert line.startswith(f"skipped: {name} needs a PostgreSQL server")
        assert "apt-get install postgresql" in line


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("benchmark", [scale, dispatch, processes])
def test_alone_it_ends_with_what_to_install(benchmark: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", "--quick"])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()  # type: ignore[attr-defined]
    assert "apt-get install postgresql" in str(ended.value.code)
