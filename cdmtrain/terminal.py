"""Text for a terminal: names and messages may be a stranger's, so control characters are shown and not sent."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# but tab and newline: controls, line separators, changes of the writing direction, bytes that are no text
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return the text with each control character as its escape sequence, such as \x1b."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def say(text: str) -> None:
    """Print a line; a character that the terminal's encoding lacks is shown as its escape sequence."""
    encoding = sys.stdout.encoding or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), flush=True)


def make_printable(record: logging.LogRecord) -> bool:
    """Change a record of the log so that its message is printable: a filter for handlers, which keeps every record."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True


@contextmanager
def messages_printed() -> Iterator[None]:
    """Print the messages of the program where the user has not decided what happens to them."""
    logger = logging.getLogger("cdmtrain")
    if logger.hasHandlers():
        yield
        return
    handler, level = logging.StreamHandler(sys.stdout), logger.level
    handler.addFilter(make_printable)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
