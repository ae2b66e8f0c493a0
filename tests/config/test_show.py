"""What a run prints of its configuration at the start."""

import pytest

from cdmtrain.config.show import show_changes


def test_what_differs_from_the_defaults_is_shown_whole_and_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    long = [f"{'a' * 60}.h5", "[bold]b.h5"]
    show_changes({"model": ["cnn", "dnn"], "optimizer.lr": [0.001, 0.01], "data.files": [None, long]})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["differs", "from", "the", "defaults", "default"]
    assert ["model", "dnn", "cnn"] in [line.split() for line in lines]
    assert ["optimizer.lr", "0.01", "0.001"] in [line.split() for line in lines]
    assert "[bold]b.h5" in "".join(line.strip() for line in lines).replace(" ", "")
    assert max(map(len, lines)) <= 80


def test_a_run_of_the_defaults_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes({})
    assert capsys.readouterr().out.startswith("all settings are the defaults\n")
