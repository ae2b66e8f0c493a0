"""A linear classifier and nearest neighbours measure what features are worth."""

import pytest
import torch

from cdmtrain.pretraining.evaluate import principal_components
from cdmtrain.pretraining.probe import RIDGE, linear_classifier, nearest_neighbours

CLASSIFIERS = [linear_classifier, nearest_neighbours]


def clusters(num_events: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Features around one of four centres, and the number of the centre."""
    random = torch.Generator().manual_seed(1)
    truth = torch.randint(4, (num_events,), generator=random)
    noise = torch.randn(num_events, 6, generator=random, dtype=torch.float64)
    return torch.eye(4, 6, dtype=torch.float64)[truth] - 0.25 + spread * noise, truth


@pytest.mark.parametrize("classify", CLASSIFIERS)
def test_features_that_tell_classes_apart_are_found_and_others_are_not(classify) -> None:
    features, truth = clusters(400, spread=0.05)
    answer = classify(features[:200], truth[:200], features[200:], 4)
    assert (answer == truth[200:]).all()
    nothing = torch.randn(400, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    answer = classify(nothing[:200], truth[:200], nothing[200:], 4)
    assert (answer == truth[200:]).float().mean() < 0.4


@pytest.mark.parametrize("classify", CLASSIFIERS)
def test_fewer_events_than_features_and_constant_features_are_classified(classify) -> None:
    features, truth = clusters(6, spread=0.05)
    wide = torch.cat([features, torch.zeros(6, 30, dtype=torch.float64)], dim=1)
    assert classify(wide, truth, wide, 4).shape == (6,)


def test_the_linear_classifier_is_at_the_minimum_of_its_loss() -> None:
    features, truth = clusters(50, spread=0.5)
    target = torch.nn.functional.one_hot(truth, 4).double()
    weight = torch.zeros(6, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, tolerance_grad=1e-12)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        wrong = features @ weight - (target - target.mean(0))
        value = wrong.square().sum() / len(features) + RIDGE * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    expected = (features @ weight.detach() + target.mean(0)).argmax(1)
    assert torch.equal(linear_classifier(features, truth, features, 4), expected)


def test_principal_components_are_the_directions_of_largest_variance() -> None:
    random = torch.Generator().manual_seed(3)
    hidden = torch.randn(300, 1, generator=random, dtype=torch.float64)
    features = torch.cat([hidden, -hidden, hidden, torch.randn(300, 2, generator=random, dtype=torch.float64)], dim=1)
    features = torch.cat([features, torch.ones(300, 1, dtype=torch.float64)], dim=1)  # one that does not vary
    position, share = principal_components(features)
    assert abs(torch.corrcoef(torch.stack([position[:, 0], hidden[:, 0]]))[0, 1]) > 0.999
    assert share[0] == pytest.approx(3 / 5, abs=0.05)
    assert share[1] <= share[0]
    assert position.var(0)[0] > position.var(0)[1]
