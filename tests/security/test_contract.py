"""The API against its own OpenAPI document: thousands of requests, right and wrong, to the server as it is shipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.served import KEY, SECRET, served

HERE = Path(__file__).parent
EXAMPLES = 100
"""Of each operation, beside the boundary values: a minute or two."""
ONE_THREAD = "1"
"""Hypothesis reads the source of lambdas, and Python 3.11 counts the depth of ``ast.parse`` for all threads together:
with two, "AST constructor recursion depth mismatch" ends a phase now and then."""
WITHIN_SECONDS = 280


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_answer_is_as_the_document_says_and_what_it_forbids_is_refused(tmp_path: Path) -> None:
    environment = os.environ | {
        "WAIHU_TEST_KEY": KEY,
        "WAIHU_TEST_SECRET": SECRET,
        "PYTHONPATH": str(HERE),
        "PYTHONWARNINGS": "default",
    }
    with served(tmp_path) as url:
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
        command += [f"{url}/docs/openapi.json", "--phases", "examples,coverage,fuzzing", "--workers", ONE_THREAD]
        command += ["--max-examples", str(EXAMPLES), "--generation-deterministic", "--warnings", "off", "--no-color"]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN_SECONDS
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    said = (tmp_path / "web.log").read_text("utf-8", "replace")
    assert " ERROR " not in said, said[-5_000:]
