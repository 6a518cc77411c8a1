"""The command `vsbook`, and `python -m vsbook`."""

import os
import signal

__all__ = ["main"]


def main() -> None:
    """Run `vsbook.cli`; Ctrl-C while libraries are still being imported ends it at once, with exit status 130.

    An exception there would be a traceback, or be lost in what a library makes of it. A training, which has something
    to keep, takes the interruption as an exception again.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from vsbook import cli  # here, since it takes half a second

    cli.main()


if __name__ == "__main__":
    main()
