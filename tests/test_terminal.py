"""Control characters in the names and messages of others are shown on a terminal, and not sent."""

import io
import logging
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cdmtrain import cli
from cdmtrain.report.kit.tables import Table
from cdmtrain.terminal import make_printable, printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("a\u202eb", r"a\u202eb"),
        ("a\udcffb", r"a\udcffb"),
        ("a\rb", r"a\rb"),
        ("3 µs\n\tγ", "3 µs\n\tγ"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_terminal_that_lacks_a_character_shows_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("γ\x1b")
    assert stream.buffer.getvalue() == b"\\u03b3\\x1b\n"  # type: ignore[attr-defined]


def test_a_record_of_the_log_is_printable() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s is finished", ("\x1b[2J",), None)
    assert make_printable(record)
    assert record.getMessage() == r"\x1b[2J is finished"


def test_cells_titles_and_headers_of_a_table_are_no_markup() -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(Table(["[/] head", "x"], [["[bold]a[/]\x1b", "[/b]"]], "[/] title").terminal())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(word in shown for word in ("[/] head", r"[bold]a[/]\x1b", "[/b]", "[/] title"))


def test_an_error_about_a_name_is_printable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a\x1b]0;b").mkdir()
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=status", f"runs='{tmp_path}/a\x1b]0;b'"])
    assert cli.main() == 1
    error = capsys.readouterr().err
    assert r"a\x1b]0;b" in error
    assert "\x1b]" not in error
