"""The table of attacks at the end, whichever of them this run struck, in however many processes."""

from __future__ import annotations

from typing import Any

import pytest

from tests import table


class Several:
    """For a run in several processes (pytest-xdist): each tells its part of the table when it is done."""

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        told = getattr(session.config, "workeroutput", None)
        if told is not None:
            told["attacks"] = table.told()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        table.take(getattr(node, "workeroutput", {}).get("attacks", ()))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Several())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = table.lines()
    if told:
        terminalreporter.write_sep("=", "attacks")
        for line in told:
            terminalreporter.write_line(line)
