"""Runs every benchmark in turn: ``python -m benchmarks [--quick] [NAME ...]``.

One that fails does not stop the others; one that needs a server which is not installed is skipped, and that is no failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks import postgres
from tests.postgres import find_binaries

NAMES = ("media", "bargein", "api", "validation", "workers", "scale", "dispatch", "processes")


def main(arguments: Sequence[str] | None = None) -> int:
    """The number of benchmarks that failed. ``arguments``: the command's if None."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: the figures are rougher")
    parser.add_argument(
        "names", nargs="*", choices=[[], *NAMES], help=f"which ones; all if none is named: {', '.join(NAMES)}"
    )
    chosen = parser.parse_args(arguments)
    failed = []
    for name in chosen.names or NAMES:
        print(f"\n--- {name}", flush=True)
        if name in postgres.NEEDING and find_binaries() is None:
            print(f"skipped: {name} {postgres.ADVICE}", flush=True)
            continue
        started = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if chosen.quick else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
