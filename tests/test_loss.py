"""The losses are the formulas of their docstrings, and their weights live with the network."""

import io
import math

import pytest
import torch

from cdmtrain.errors import InputError
from cdmtrain.loss import CrossEntropy, Focal, check_loss
from cdmtrain.particles import DEFAULT

LOGITS = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
TRUTH = torch.tensor([0, 1, 2, 3, 0, 0, 1, 2])


def test_weighted_loss_is_its_formula():
    weight = torch.tensor([2.0, 1.0, 0.5, 0.0])
    surprise = -LOGITS.log_softmax(1)[torch.arange(8), TRUTH]
    expected = (weight[TRUTH] * surprise).sum() / weight[TRUTH].sum()
    torch.testing.assert_close(CrossEntropy(class_weights=[2, 1, 0.5, 0])(LOGITS, TRUTH), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_its_formula(gamma):
    weight = torch.tensor([2.0, 1.0, 0.5, 0.0])
    p = LOGITS.softmax(1)[torch.arange(8), TRUTH]
    expected = -(weight[TRUTH] * (1 - p) ** gamma * p.log()).sum() / weight[TRUTH].sum()
    torch.testing.assert_close(Focal(gamma=gamma, class_weights=[2, 1, 0.5, 0])(LOGITS, TRUTH), expected)
    if gamma == 0:
        torch.testing.assert_close(Focal(gamma=0)(LOGITS, TRUTH), CrossEntropy()(LOGITS, TRUTH))


def test_focal_loss_has_a_finite_gradient_where_an_event_is_certain():
    logits = torch.tensor([[200.0, 0.0, 0.0, 0.0]], requires_grad=True)
    Focal(gamma=0.5)(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", [torch.nn.CrossEntropyLoss(), torch.nn.MultiMarginLoss(), Focal()])
def test_a_loss_of_classes_is_accepted(loss):
    check_loss(loss, DEFAULT)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (torch.nn.BCEWithLogitsLoss(), "BCEWithLogitsLoss does not take logits"),
        (torch.nn.CrossEntropyLoss(weight=torch.ones(3)), "CrossEntropyLoss does not take logits"),
        (torch.nn.TripletMarginLoss(), "TripletMarginLoss does not take logits"),
        (torch.nn.CrossEntropyLoss(reduction="none"), "CrossEntropyLoss gives no single number"),
    ],
)
def test_a_loss_of_something_else_is_refused_before_the_training(loss, sentence):
    with pytest.raises(InputError, match=f"^loss: {sentence}"):
        check_loss(loss, DEFAULT)


def test_equal_weights_and_none_are_the_plain_loss():
    plain = torch.nn.functional.cross_entropy(LOGITS, TRUTH)
    assert torch.equal(CrossEntropy()(LOGITS, TRUTH), plain)
    torch.testing.assert_close(CrossEntropy(class_weights=[3, 3, 3, 3])(LOGITS, TRUTH), plain)


def test_smoothed_labels_ask_for_the_documented_probabilities():
    wanted = torch.full((8, 4), 0.2 / 4)
    wanted[torch.arange(8), TRUTH] += 0.8
    expected = -(wanted * LOGITS.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(CrossEntropy(label_smoothing=0.2)(LOGITS, TRUTH), expected)


def test_weights_move_with_the_loss_and_are_saved_as_a_plain_tensor():
    loss, file = CrossEntropy(class_weights=[1, 2, 3, 4]), io.BytesIO()
    assert loss.to("meta").weight.device.type == "meta"
    torch.save(CrossEntropy(class_weights=[1, 2, 3, 4]).state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["weight"].tolist() == [1, 2, 3, 4]
    assert not CrossEntropy().state_dict()


@pytest.mark.parametrize("weights", [[1, 1, 1, -1], [0, 0, 0, 0], [], [1, 1, 1, math.nan], 2])
def test_what_are_no_weights_is_one_sentence(weights):
    for kind in (CrossEntropy, Focal):
        with pytest.raises(InputError, match=r"^loss.class_weights=.*: a number from 0 on for each class is expected"):
            kind(class_weights=weights)


@pytest.mark.parametrize("kind", [CrossEntropy, Focal])
def test_other_numbers_of_weights_than_of_classes_are_one_sentence(kind):
    check_loss(kind(class_weights=[1, 2, 3, 4]), DEFAULT)
    check_loss(kind(class_weights=[1, 2]), DEFAULT[:2])
    with pytest.raises(InputError, match="4 numbers are expected, for electron, muon, photon, proton"):
        check_loss(kind(class_weights=[1, 1, 1]), DEFAULT)
