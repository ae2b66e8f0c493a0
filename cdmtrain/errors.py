"""The one exception a user is meant to read."""


class InputError(ValueError):
    """What came from outside (a file, a setting, a path) cannot be used.

    The message is shown as it stands, without a traceback, and the program exits with status 1. It is one
    sentence: what was got, what is allowed, what to do next.
    """


class Pruned(Exception):  # noqa: N818  (it is no error)
    """A run that is a trial of a search was stopped, as others did better at the same epoch."""


class Preempted(SystemExit):
    """The cluster takes the machine away; the run continues in a job that is queued again."""

    def __init__(self) -> None:
        super().__init__(75)  # EX_TEMPFAIL of sysexits.h
