"""The page of a search shows every trial, whatever its state."""

import re
from pathlib import Path

from cdmtrain.report.search import SearchFacts, TrialFacts, write_search


def trial(folder: Path, number: int, state: str, value: float | None) -> TrialFacts:
    return TrialFacts(number, state, value, {"optimizer.lr": f"{number}e-3"}, folder / f"trial_{number:04d}")


def test_finished_trials_are_ranked_and_linked_to_their_pages(tmp_path: Path) -> None:
    states = [("finished", 0.7), ("pruned", 0.9), ("finished", 0.5), ("failed", None), ("running", None)]
    trials = [trial(tmp_path, number, *state) for number, state in enumerate(states)]
    (tmp_path / "trial_0002/report").mkdir(parents=True)
    (tmp_path / "trial_0002/report/index.html").touch()
    facts = SearchFacts("mine", "val_loss", True, trials, {"optimizer.lr": 1.0})
    page = write_search(tmp_path, facts).read_text()
    assert "5 trials: 2 finished, 1 pruned, 1 failed, 1 running" in page
    assert "Best: trial 2 with val_loss 0.5000: optimizer.lr=2e-3" in page
    assert '<a href="trial_0002/report/index.html">2</a>' in page
    rows = re.findall(r"<tr><td>(?:<a [^>]*>)?(\d)", page)
    assert rows == ["2", "0", "1", "3", "4"]
    assert not re.search(r"https?://|<script", page)
    assert (tmp_path / "trials.csv").read_text().splitlines()[4] == "3,failed,,3e-3"
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"history", "importances"}


def test_a_search_without_a_finished_trial_has_a_page(tmp_path: Path) -> None:
    facts = SearchFacts("mine", "val_loss", True, [trial(tmp_path, 0, "failed", None)], {})
    assert "No trial has finished." in write_search(tmp_path, facts).read_text()
