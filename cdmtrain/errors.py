"""Exceptions with a meaning for the whole program."""

from pathlib import Path


class InputError(ValueError):
    """A file, a setting or a path that the user gave cannot be used.

    The message is shown without a traceback, and the program exits with status 1. It is one sentence that says what
    was given, what is allowed, and what to do next.
    """


class Locked(Exception):  # noqa: N818  (others may hold a lock)
    """Another process holds a lock; the message names it."""


class Pruned(Exception):  # noqa: N818  (it is no error)
    """A run that is a trial of a search was stopped, as others did better at the same epoch."""


class Interrupted(KeyboardInterrupt):
    """One Ctrl-C has ended a training, which has saved itself.

    Args:
        run: its directory.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run


class Preempted(SystemExit):
    """The cluster takes the machine away; the run continues in a job that is queued again."""

    def __init__(self) -> None:
        super().__init__(75)  # EX_TEMPFAIL of sysexits.h
