"""The quick way to read config.yaml accepts nothing that the slow one would refuse."""

import random
from pathlib import Path

import pytest
import yaml

from cdmtrain.errors import InputError
from cdmtrain.runs.config_file import OUR_LINE, PlainLoader, _by_sections, _check_bounded, read_config_file

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


def test_a_file_read_by_sections_is_the_file_read_as_a_whole() -> None:
    texts, rng = [file.read_text() for file in sorted(FIXTURES.glob("**/config.yaml"))], random.Random(2)
    lines = ["a:", "b: 1", "a: x", "  c: 2", "  - d", "- e", "-", "  f:", "    g: 1e3", "b: x y", "x\r", "h: 'q'"]
    texts += ["\n".join(rng.choices(lines, k=rng.randint(1, 5))) for _ in range(1500)]
    refused = 0
    for text in texts:
        try:
            whole = yaml.load(text, PlainLoader)
        except yaml.YAMLError:
            refused += 1
            with pytest.raises(yaml.YAMLError):
                _by_sections(text)
        else:
            assert _by_sections(text) == whole, text
    assert 100 < refused < 1400


def test_what_a_reader_changes_in_a_configuration_stays_its_own() -> None:
    first = _by_sections("a:\n  b: 1\nc: 2")
    first["a"]["b"] = 3
    assert _by_sections("a:\n  b: 1\nc: 2") == {"a": {"b": 1}, "c": 2}
