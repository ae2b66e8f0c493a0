"""Tables of text: the same cells on the terminal, on a page and in Markdown."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table as TerminalTable
from rich.text import Text

from cdmtrain.report.kit import markup, style
from cdmtrain.terminal import printable

Cell = str | Text | markup.Link


class Table(NamedTuple):
    """Rows of cells under a header; a newline in a header is a line break on the terminal and a blank elsewhere."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    words: Collection[int] = (0,)  # columns of words: aligned left, and wrapped where the terminal is narrow
    narrow: bool = False  # one blank between the columns, not two
    classes: Sequence[str] = ()  # names in the first column that have a colour

    def terminal(self) -> TerminalTable:
        """The table for the terminal; the name of a class in the first column has its colour."""
        title = Text(printable(self.title)) if self.title else None
        table = TerminalTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.padding, table.pad_edge = (0, 0 if self.narrow else 1, 0, 0), False
        for index, name in enumerate(self.header):
            if index in self.words:
                longest = max((len(_text(row[index])) for row in self.rows), default=0)
                table.add_column(_text(name), overflow="fold", min_width=min(longest, 10))
            else:
                table.add_column(_text(name), justify="right", no_wrap=True)
        styles = style.line_styles(self.classes)
        for first, *others in self.rows:
            colour = styles[str(first)].colour if str(first) in styles else ""
            table.add_row(_text(first, f"bold {colour}" if colour else ""), *map(_text, others))
        return table

    def html(self) -> str:
        """The table for a page, without its title."""
        cells = [[str(cell) if isinstance(cell, Text) else cell for cell in row] for row in self.rows]
        names = [name.replace("-\n", "").replace("\n", " ") for name in self.header]
        return markup.table(names, cells, words=self.words, particles=self.classes)

    def markdown(self) -> str:
        """The table in Markdown."""
        head, *body = [" | ".join(map(_escaped, row)) for row in (self.header, *self.rows)]
        return "\n".join(f"| {row} |" for row in (head, "|".join(["---"] * len(self.header)), *body))


def _text(cell: Cell, text_style: str = "") -> Text:
    if isinstance(cell, Text):
        return cell
    return Text(printable(cell if isinstance(cell, str) else cell.text), style=text_style)


def _escaped(cell: Cell) -> str:
    return _text(cell).plain.replace("|", "\\|").replace("\n", " ")
