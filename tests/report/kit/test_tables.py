"""The same table on the terminal, on a page and in Markdown."""

from rich.console import Console

from cdmtrain.report.kit.tables import Table

TABLE = Table(["", "configuration", "peak\nmemory"], [["1", "model|cnn\nwide", "1.23 GB"]], words=(1,))


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table.terminal())
    return capture.get().splitlines()


def test_a_cell_cannot_break_a_markdown_table() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines == ["|  | configuration | peak memory |", "| ---|---|--- |", "| 1 | model\\|cnn wide | 1.23 GB |"]


def test_a_line_break_in_a_header_is_a_blank_on_the_page() -> None:
    page = TABLE.html()
    assert '<th scope="col">peak memory</th>' in page
    assert '<td class="words">model|cnn\nwide</td>' in page


def test_words_wrap_on_a_narrow_terminal_and_numbers_do_not() -> None:
    table = Table(["configuration", "accuracy"], [["a configuration with a long name", "0.7231 ± 0.0042"]])
    assert max(map(len, printed(table, 30))) <= 30
    assert any(line.rstrip().endswith("0.7231 ± 0.0042") for line in printed(table, 30))
    assert len(printed(table, 80)) < len(printed(table, 30))


def test_a_particle_has_its_colour_on_the_page_whatever_the_other_cells() -> None:
    page = Table(["particle", "events"], [["muon", "3"], ["other", "4"]], classes=["muon"]).html()
    assert page.count('class="dot"') == 1
    assert "#009E73" in page
