"""A leaderboard as a notebook shows it: columns of numbers, and the tables of its page."""

from cdmtrain.report.kit import markup
from cdmtrain.report.kit.columns import Columns
from cdmtrain.report.kit.numbers import plural
from cdmtrain.report.leaderboard import tables
from cdmtrain.report.leaderboard.ranking import Leaderboard
from cdmtrain.terminal import printable


class LeaderboardColumns(Columns):
    """The columns of leaderboard.csv: a row for each configuration, the best validation first."""

    def __init__(self, board: Leaderboard) -> None:
        super().__init__(Columns.of_rows(tables.board_rows(board)))
        self._board = board

    def __repr__(self) -> str:
        best = f"; the best is {self._board.ranked[0].name}" if self._board.ranked else ""
        rows, runs = plural(self.num_rows, "configuration"), tables.state_counts(self._board)
        return printable(f"<leaderboard of {rows}, ranked by val_{self._board.rank}{best}; {runs}>")

    def _repr_html_(self) -> str:
        board, parts = self._board, []
        if board.ranked:
            columns = [*tables.quality_columns(board), *tables.cost_columns()]
            parts.append(tables.board_table(board, columns).html())
        if (missing := tables.unfinished_table(board)).rows:
            parts += [markup.element("h4", missing.title), missing.html()]
        return "".join([*parts, markup.element("p", f"{tables.state_counts(board)}. {tables.spread_words(board)}.")])
