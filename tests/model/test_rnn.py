"""The recurrent network is its formula, hit by hit, and never reads padding."""

import pytest
import torch
from torch import Tensor, nn

from cdmtrain.batch import Sequence
from cdmtrain.model.rnn import RNN

kinds = pytest.mark.parametrize(
    ("cell", "layers", "bidirectional"),
    [("rnn", 1, False), ("rnn", 2, True), ("lstm", 1, False), ("lstm", 2, True), ("gru", 1, True), ("gru", 3, False)],
)


def lstm(weights: nn.Module, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    gates = weights.weight_ih_l0 @ x + weights.bias_ih_l0 + weights.weight_hh_l0 @ h + weights.bias_hh_l0
    input_gate, forget_gate, cell, output_gate = gates.chunk(4)
    c = forget_gate.sigmoid() * c + input_gate.sigmoid() * cell.tanh()
    return output_gate.sigmoid() * c.tanh(), c


def gru(weights: nn.Module, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    of_x = (weights.weight_ih_l0 @ x + weights.bias_ih_l0).chunk(3)
    of_h = (weights.weight_hh_l0 @ h + weights.bias_hh_l0).chunk(3)
    reset, update = (of_x[0] + of_h[0]).sigmoid(), (of_x[1] + of_h[1]).sigmoid()
    new = (of_x[2] + reset * of_h[2]).tanh()
    return (1 - update) * new + update * h, c


def elman(weights: nn.Module, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    of_x = weights.weight_ih_l0 @ x + weights.bias_ih_l0
    return (of_x + weights.weight_hh_l0 @ h + weights.bias_hh_l0).tanh(), c


CELLS = {"rnn": elman, "lstm": lstm, "gru": gru}


def read(cell: str, weights: nn.Module, hits: list[Tensor]) -> list[Tensor]:
    outputs = []
    h = c = weights.weight_hh_l0.new_zeros(16)
    for x in hits:
        h, c = CELLS[cell](weights, x, h, c)
        outputs.append(h)
    return outputs


def formula(net: RNN, sequence: Sequence, cell: str) -> Tensor:
    logits = []
    for feature, mask in zip(sequence.feature, sequence.mask, strict=True):
        hits = list(feature[mask]) or [feature[0]]  # padding, which is zero
        for number, forward_weights in enumerate(net.forward_rnn):
            outputs = [read(cell, forward_weights, hits)]
            if net.backward_rnn:
                outputs.append(read(cell, net.backward_rnn[number], hits[::-1])[::-1])
            hits = [torch.cat(both) for both in zip(*outputs, strict=True)]
        end = torch.cat([outputs[0][-1], *(backward[0] for backward in outputs[1:])])
        logits.append(net.linear.weight @ end + net.linear.bias)
    return torch.stack(logits)


@kinds
def test_logits_and_gradients_are_those_of_the_formula(
    sequence, drawn, assert_equal_with_gradients, cell, layers, bidirectional
):
    net = drawn(RNN(cell=cell, hidden=16, layers=layers, bidirectional=bidirectional))
    assert_equal_with_gradients(net(sequence), formula(net, sequence, cell), sequence.feature, *net.parameters())


def test_checkpoints_with_the_old_names_of_the_networks_are_read(sequence):
    net, other = (RNN(cell="gru", hidden=4, layers=2, bidirectional=True).double() for _ in range(2))
    old = {
        key.replace("forward_rnn", "forth").replace("backward_rnn", "back"): value
        for key, value in net.state_dict().items()
    }
    assert old.keys() != net.state_dict().keys()
    for outer, prefix in ((other, ""), (nn.ModuleDict({"model": other}), "model.")):
        outer.load_state_dict({prefix + key: value for key, value in old.items()})
        assert torch.equal(other(sequence), net(sequence))
        other.load_state_dict({key: torch.zeros_like(value) for key, value in net.state_dict().items()})


@kinds
def test_padding_is_not_read(sequence, padded, cell, layers, bidirectional):
    torch.manual_seed(1)
    rnn = RNN(cell=cell, hidden=16, layers=layers, bidirectional=bidirectional).double()
    assert not sequence.mask.all()
    torch.testing.assert_close(rnn(padded(sequence)), rnn(sequence), rtol=0, atol=0)
    read = sequence.mask.any(1)  # an event without a hit is read as its first element, of padding
    torch.testing.assert_close(rnn(padded(sequence, value=7.0))[read], rnn(sequence)[read], rtol=0, atol=0)


def test_logits_depend_on_the_order_of_hits(sequence, permuted):
    torch.manual_seed(1)
    rnn = RNN(cell="lstm", hidden=16, layers=1, bidirectional=False).double()
    moved = (rnn(permuted(sequence)) - rnn(sequence)).abs().amax(1)
    assert (moved[sequence.mask.sum(1) > 1] > 1e-4).all()


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="cell=elman: one of rnn, lstm, gru is expected"):
        RNN(cell="elman", hidden=4, layers=1, bidirectional=False)
