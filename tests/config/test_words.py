"""Names of files stay words, and the advice on quoting works when it is followed."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cdmtrain.config.words import quoted, with_paths_as_words


def value_of(word: str) -> object:
    return OverridesParser.create().parse_override(word).value()


@pytest.mark.parametrize(
    "name", ["12345", "2026_11_27", "007", "1e5", "1.50", "-3", "true", "NaN", "inf", "run", "a/12", "12a"]
)
def test_a_path_is_the_word_that_was_typed(name: str) -> None:
    for key in (
        "run_dir",
        "run",
        "sweep.dir",
        "input",
        "output",
        "ckpt",
        "weights",
        "launch.code_dir",
        "+logger.csv.save_dir",
    ):
        (word,) = with_paths_as_words([f"{key}={name}"])
        assert str(value_of(word)) == name
        assert isinstance(value_of(word), str)
    (word,) = with_paths_as_words([f"data.files=[{name},b.h5,{name}]"])
    assert [str(entry) for entry in value_of(word)] == [name, "b.h5", name]  # type: ignore[attr-defined]


OTHERS = [
    "seed=12",
    "run_dir=null",
    "data.split.train=[0,1]",
    "loss.class_weights=[2,1,2,1]",
    "run_dir='12'",
    "run_dir",
    "-m",
]


@pytest.mark.parametrize("word", OTHERS)
def test_other_words_stay_as_they_are(word: str) -> None:
    assert with_paths_as_words([word]) == [word]


NAMES = [
    "é.h5",
    "a b.h5",
    "a=b.h5",
    "100%.h5",
    "#1.h5",
    "it's.h5",
    'say "x".h5',
    "(1).h5",
    "a{b}.h5",
    "$HOME.h5",
    "a\\",
    "~x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_quoted_name_is_read_as_it_is(name: str) -> None:
    (word,) = shlex.split(quoted(f"run={name}"))
    assert value_of(word) == name
    (word,) = shlex.split(quoted(f"data.files=[{name},b.h5]"))
    assert value_of(word) == [name, "b.h5"]


def test_quotes_that_are_there_stay() -> None:
    assert shlex.split(quoted("""data.files=["é.h5", 'b.h5']""")) == ["""data.files=["é.h5",'b.h5']"""]
