"""Can trees tell the sample from its reference? Class by class, the area under the ROC curve of boosted trees.

They learn from the FEATURES of the images alone (features.py). An area of 0.5 means that they see no difference. Every
event is judged by trees that were trained without it: five parts, each left out once.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from cdmtrain.intervals import Figure, roc_area
from cdmtrain.report.dataset.features import FEATURES, Floats
from cdmtrain.report.dataset.measure import Sample, ks_distance, shared_classes
from cdmtrain.report.kit.page import Rows
from cdmtrain.report.kit.tables import Table

FOLDS = 5
MOST_EVENTS = 12_000  # of a class in each sample: more take longer and change the area by less than its error
TELLING = 2  # features that the table names for each class
MISSING = "boosted trees need scikit-learn, which is not installed: pip install 'cdmtrain[trees]' shows their area too"
WORDS = (
    f"Boosted trees learn from {len(FEATURES)} features of the images alone whether an event is of the sample or of "
    "the reference. The area under their ROC curve, on events that they were not trained on, is 0.5 where they see no "
    "difference. Its error is statistical. The last column names the features whose distributions are farthest apart, "
    "and their Kolmogorov-Smirnov distances; features.csv has all of them."
)


class Separation(NamedTuple):
    """How well trees separate one class of two samples, and what they have to learn from."""

    events: tuple[int, int]  # in the sample and in the reference
    area: Figure
    means: Floats  # (feature, 2) in the sample and in the reference
    distances: Floats  # (feature,) Kolmogorov-Smirnov

    @property
    def telling(self) -> str:
        """The features that differ most, with their distances."""
        first = np.argsort(self.distances)[::-1][:TELLING]
        return ", ".join(f"{FEATURES[n]} {self.distances[n]:.3f}" for n in first)


def separations(samples: Sequence[Sample], features: Sequence[Floats]) -> dict[str, Separation]:
    """Return the separation of each class of which both samples have at least two events a fold.

    Args:
        samples: the sample and its reference.
        features: (event, feature) of each.
    """
    found = {}
    for name in shared_classes(samples):
        both = [values[sample.of(name)][:MOST_EVENTS] for sample, values in zip(samples, features, strict=True)]
        if min(map(len, both)) >= 2 * FOLDS:
            found[name] = separate(*both)
    return found


def separate(own: Floats, other: Floats) -> Separation:
    """Train trees in five folds on two sets of events, (event, feature) each."""
    distances = np.array([ks_distance(own[:, n], other[:, n]) for n in range(own.shape[1])])
    means = np.stack([own.mean(axis=0), other.mean(axis=0)], axis=1)
    return Separation((len(own), len(other)), area_of_trees(own, other), means, distances)


def can_train_trees() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


def area_of_trees(own: Floats, other: Floats) -> Figure:
    """The area under the ROC curve of all events, each scored by trees that have not seen it."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    is_own = np.repeat([True, False], [len(own), len(other)])
    trees = HistGradientBoostingClassifier(learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=40, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    both = np.concatenate([own, other])
    score = cross_val_predict(trees, both, is_own, cv=folds, method="predict_proba")[:, 1]
    return roc_area(score, is_own)


def separation_table(found: Mapping[str, Separation], title: str) -> Table:
    """The area of each class with its error, for the terminal and the page."""
    rows = [
        [name, f"{of.area.value:.3f} ± {(of.area.high - of.area.low) / 2:.3f}", of.telling]
        for name, of in found.items()
    ]
    return Table(
        ["", "ROC area", "features that differ most"], rows, f"Boosted trees: {title}", words=(0, 2), narrow=True
    )


def feature_rows(found: Mapping[str, Separation]) -> Rows:
    """Every feature of each class: its means and its distance, for features.csv."""
    rows: Rows = [["class", "feature", "mean", "mean_reference", "ks"]]
    for name, of in found.items():
        columns = zip(FEATURES, of.means.tolist(), of.distances.tolist(), strict=True)
        rows += [[name, feature, *means, distance] for feature, means, distance in columns]
    return rows


def separation_numbers(found: Mapping[str, Separation]) -> dict[str, dict[str, float]]:
    """What inspection.json says of each class."""
    return {
        name: {
            "area": of.area.value,
            "area_low": of.area.low,
            "area_high": of.area.high,
            "events": of.events[0],
            "events_reference": of.events[1],
        }
        for name, of in found.items()
    }
