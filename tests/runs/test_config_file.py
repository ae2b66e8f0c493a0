"""The quick way to read config.yaml accepts nothing that the slow one would refuse."""

import random
from pathlib import Path

import pytest
import yaml

from cdmtrain.errors import InputError
from cdmtrain.runs.config_file import OUR_LINE, PlainLoader, _check_bounded, read_config_file

FIXTURES = Path(__file__).parents[1] / "fixtures"
PIECES = [
    " ",
    "  ",
    "- ",
    "-",
    "a:",
    "a: ",
    "b/c: ",
    "1e3",
    "x",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!int ",
    "'q'",
    '"q"',
]
PIECES += ["|", ">", "#", "? ", ": ", ",", "<<: ", "%", "@", "`", "\t", "~", "$", ".", "/p"]


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("**/config.yaml")), ids=lambda file: file.parent.name)
def test_our_own_files_take_the_quick_way(file: Path) -> None:
    assert all(map(OUR_LINE.fullmatch, file.read_text().splitlines()))


def test_random_lines_that_take_the_quick_way_have_no_alias_and_bounded_depth() -> None:
    rng, accepted = random.Random(1), 0
    for _ in range(20_000):
        line = "".join(rng.choices(PIECES, k=rng.randint(1, 5)))
        if OUR_LINE.fullmatch(line):
            accepted += 1
            for text in (line, f"a: b\n  {line}" if len(line) < 38 else line, f"{line}\n{line}"):
                events = []
                try:
                    events = list(yaml.parse(text, PlainLoader))
                except yaml.YAMLError:
                    continue  # it is refused when it is loaded
                assert not any(isinstance(event, yaml.AliasEvent) for event in events)
                assert not any(getattr(event, "anchor", None) or getattr(event, "tag", None) for event in events)
    assert accepted > 300


def test_the_deepest_file_of_such_lines_is_within_the_bound(tmp_path: Path) -> None:
    lines = [f"{' ' * depth}a:" for depth in range(40)] + [" " * 40 + "- - -"]
    assert all(map(OUR_LINE.fullmatch, lines))
    _check_bounded("\n".join(lines), tmp_path)  # raises beyond the bound
    assert not OUR_LINE.fullmatch(" " * 41 + "a:")
    assert not OUR_LINE.fullmatch("- - - - -")


def test_an_alias_takes_the_slow_way_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: &x [1]\nb: *x\n")
    with pytest.raises(InputError, match="has aliases"):
        read_config_file(tmp_path)
