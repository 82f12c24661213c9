# SPDX-License-Identifier: AGPL-3.0-only
"""Runs a command that ends when its parent does, whatever kills the parent: `tether PARENT_PID COMMAND…`.

A campaign that is killed must not leave trainings behind: the next start would train into the same folders.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ties this process to its parent, then becomes the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the campaign ended before its phase began")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
