"""The command ``saddlescope``: the same as the binary of that name, with the same arguments and results."""

import signal
import sys

from saddlescope import _native


def main() -> int:
    """Run the command with the arguments of this process; returns its exit code."""
    # The command has its own handling of Ctrl-C: the first stops at the next safe point, the second at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.command(["saddlescope", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
