"""The table of attacks at the end, whichever of them this run struck."""

from __future__ import annotations

import pytest

from tests import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = table.lines()
    if told:
        terminalreporter.write_sep("=", "attacks")
        for line in told:
            terminalreporter.write_line(line)
