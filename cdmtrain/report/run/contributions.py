"""What in an event spoke for the answer of a network: the contribution of each lit pixel, drawn over the event."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cdmtrain.particles import Classes, names_of
from cdmtrain.report.kit import event_display, style
from cdmtrain.report.kit.numbers import percent
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.runs.predictions import Mistakes

PANEL_INCHES, GAP_INCHES, TITLE_INCHES = 1.5, 0.08, 0.3
# Okabe and Ito's blue against, orange for; grey where a pixel does not matter
FOR_AND_AGAINST = LinearSegmentedColormap.from_list("for and against", ["#56B4E9", "#4a505a", "#F0A800"])
SHADES = Normalize(-1, 1)
HEADER = ["event", "truth", "answer", "row", "column", "energy_mev", "contribution"]


class Explained(NamedTuple):
    """An event, its classes and the contribution of its pixels to the score of the answer."""

    image: NDArray[np.float32]  # (S, S) MeV
    contribution: NDArray[np.float32]  # (S, S) in units of the log odds
    truth: int
    answer: int


def draw_mistaken_contributions(mistakes: Mistakes | None, classes: Classes) -> Drawing | None:
    """Draw the contributions to the most confident mistakes; None for runs that did not record them."""
    if mistakes is None or mistakes.contributions is None:
        return None
    columns = (mistakes.images, mistakes.contributions, mistakes.class_index, mistakes.probability.argmax(1))
    events = [Explained(*one) for one in zip(*columns, strict=True)]
    rows = [[one for one in events if one.truth == number] for number in range(len(classes))]
    title = "What spoke for the wrong answers"
    return draw_contributions([row for row in rows if row], classes, "mistakes_explained", title)


def draw_contributions(rows: Sequence[Sequence[Explained]], classes: Classes, name: str, title: str) -> Drawing:
    """Draw rows of events: orange pixels spoke for the answer, blue ones against it."""
    events, styles = [one for row in rows for one in row], style.line_styles(names_of(classes))
    side, _ = event_display.shared_scale([one.image for one in events])
    pitch, width = PANEL_INCHES + TITLE_INCHES, max(map(len, rows)) * (PANEL_INCHES + GAP_INCHES) + GAP_INCHES
    night = event_display.new_night(len(rows) * pitch + GAP_INCHES, width)
    for number, row in enumerate(rows):
        for column, one in enumerate(row):
            left = GAP_INCHES + column * (PANEL_INCHES + GAP_INCHES)
            box = (left, GAP_INCHES + (len(rows) - 1 - number) * pitch, PANEL_INCHES)
            drawn = event_display.draw_event(
                night, _shade(one.contribution), box, side, SHADES, window_of=one.image, colours=FOR_AND_AGAINST
            )
            truth, answer = classes[one.truth], classes[one.answer]
            colour = event_display.on_black(styles[truth.name].colour)
            drawn.title(f"{truth.latex} → {answer.latex}", colour)
    caption = (
        "Above each event: true → predicted particle. Orange pixels speak for the predicted one, blue ones against it: "
        "integrated gradients of its log odds, from events without energy, on a square root scale up to the largest in "
        "the event. They add up to how much the energies of the event raise the log odds."
    )
    alternative = f"{title}: {'; '.join(_sentence(one, classes) for one in events)}."
    return Drawing(name, title, caption, alternative, cast(Figure, night.figure), _rows(events, classes))


def _shade(contribution: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed square root of the contributions relative to the largest: small ones stay visible."""
    return np.sign(contribution) * np.sqrt(np.abs(contribution) / (np.abs(contribution).max() or 1))


def _sentence(one: Explained, classes: Classes) -> str:
    positive = np.sort(one.contribution[one.contribution > 0])[::-1]
    tenth = positive[: -(-int((one.image > 0).sum()) // 10)].sum()
    share = percent(float(tenth / positive.sum())) if len(positive) else "nothing"
    return f"a {classes[one.truth].name} as {classes[one.answer].name}, {share} from a tenth of its pixels"


def _rows(events: Sequence[Explained], classes: Classes) -> Rows:
    table: Rows = [list(HEADER)]
    for number, one in enumerate(events):
        row, column = np.nonzero(one.image)
        names = classes[one.truth].name, classes[one.answer].name
        energy, found = one.image[row, column], one.contribution[row, column]
        columns = (row.tolist(), column.tolist(), energy.tolist(), found.tolist())
        table += [[number, *names, *values] for values in zip(*columns, strict=True)]
    return table
