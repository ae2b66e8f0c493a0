"""The loss is the weighted cross entropy that its docstring says, and its weights live with the network."""

import io
import math

import pytest
import torch

from cdmtrain.errors import InputError
from cdmtrain.loss import CrossEntropy

LOGITS = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
TRUTH = torch.tensor([0, 1, 2, 3, 0, 0, 1, 2])


def test_weighted_loss_is_its_formula():
    weight = torch.tensor([2.0, 1.0, 0.5, 0.0])
    surprise = -LOGITS.log_softmax(1)[torch.arange(8), TRUTH]
    expected = (weight[TRUTH] * surprise).sum() / weight[TRUTH].sum()
    torch.testing.assert_close(CrossEntropy(class_weights=[2, 1, 0.5, 0])(LOGITS, TRUTH), expected)


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


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 1, 1, -1], [0, 0, 0, 0], [], [1, 1, 1, math.nan], 2])
def test_what_are_no_weights_of_four_classes_is_one_sentence(weights):
    with pytest.raises(InputError, match=r"^loss.class_weights=.*: 4 numbers from 0 on are expected"):
        CrossEntropy(class_weights=weights)
