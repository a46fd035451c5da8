"""``python launch.py PARENT NICE COMMAND``: becomes the shell command, and dies when the process PARENT does.

A step of its own because a process can only ask this of the kernel for itself, and running Python between fork and
exec in the supervisor would be unsafe beside its threads. Linux alone can do it; elsewhere the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, nice, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
    try:
        os.nice(nice)
    except PermissionError:
        pass  # not root: it runs like any other
    os.execv("/bin/sh", ["/bin/sh", "-c", f"exec {command}"])


if __name__ == "__main__":
    main()
