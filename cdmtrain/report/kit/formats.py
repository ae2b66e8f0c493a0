"""How the figures of a command are written: as which files, and in which style of matplotlib."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from difflib import get_close_matches

from cdmtrain.errors import InputError

FORMATS = ("png", "pdf", "svg")

formats: ContextVar[Sequence[str]] = ContextVar("formats", default=FORMATS[:1])
own_style: ContextVar[bool] = ContextVar("own_style", default=False)  # it decides colours, ticks and grids


@contextmanager
def drawn_as(kinds: str | Sequence[str], name: str | None) -> Iterator[None]:
    """Write figures in these formats and draw them in a style of matplotlib, until the context is left.

    Raises:
        InputError: for a format or a style that does not exist.
    """
    chosen = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if not chosen or not set(chosen) <= set(FORMATS):
        raise InputError(f"report.format={kinds}: one or several of {', '.join(FORMATS)} are expected")
    tokens = formats.set(chosen), own_style.set(name is not None)
    try:
        with nullcontext() if name is None else _style(name):
            yield
    finally:
        formats.reset(tokens[0])
        own_style.reset(tokens[1])


@contextmanager
def _style(name: str) -> Iterator[None]:
    from matplotlib import style  # slow

    if name not in style.available:
        near = ", ".join(get_close_matches(name, style.available) or style.available)
        raise InputError(f"report.style={name} is not a style of matplotlib; choose one, such as {near}")
    with style.context(name):
        yield
