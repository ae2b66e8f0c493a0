"""A recurrent network reads hits in order, never padding, and says what torch's own does on packed sequences."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from cdmtrain.model.rnn import RNN

FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order

kinds = pytest.mark.parametrize(
    ("cell", "layers", "bidirectional"), [("lstm", 1, False), ("lstm", 2, True), ("gru", 1, True), ("gru", 3, False)]
)


@kinds
def test_logits_are_those_of_torchs_network_on_packed_sequences(sequence, cell, layers, bidirectional):
    torch.manual_seed(1)
    rnn = RNN(cell=cell, hidden=16, layers=layers, bidirectional=bidirectional)
    Reference = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    reference = Reference(3, 16, layers, batch_first=True, bidirectional=bidirectional)
    for direction, layer_nets in (("", rnn.forth), ("_reverse", rnn.back)):
        for number, net in enumerate(layer_nets):
            for name, weight in net.named_parameters():
                reference.get_parameter(f"{name[:-1]}{number}{direction}").data.copy_(weight)
    length = sequence.mask.sum(1).clamp(min=1)
    _, state = reference(pack_padded_sequence(sequence.feature, length, batch_first=True, enforce_sorted=False))
    state = state[0] if cell == "lstm" else state
    end = torch.cat([*state[-2:]], dim=1) if bidirectional else state[-1]
    torch.testing.assert_close(rnn(sequence), rnn.linear(end), **FLOAT32_SUMS)


@kinds
def test_padding_is_not_read(sequence, padded, cell, layers, bidirectional):
    torch.manual_seed(1)
    rnn = RNN(cell=cell, hidden=16, layers=layers, bidirectional=bidirectional)
    assert not sequence.mask.all()
    torch.testing.assert_close(rnn(padded(sequence)), rnn(sequence), rtol=0, atol=0)
    read = sequence.mask.any(1)  # an event without a hit is read as its first place
    torch.testing.assert_close(rnn(padded(sequence, value=7.0))[read], rnn(sequence)[read], rtol=0, atol=0)


def test_logits_depend_on_the_order_of_hits(sequence, permuted):
    torch.manual_seed(1)
    rnn = RNN(cell="lstm", hidden=16, layers=1, bidirectional=False)
    moved = (rnn(permuted(sequence)) - rnn(sequence)).abs().amax(1)
    assert (moved[sequence.mask.sum(1) > 1] > 1e-4).all()


def test_read_in_two_directions_the_last_hit_matters_to_one_from_the_start(sequence):
    torch.manual_seed(1)
    rnn = RNN(cell="gru", hidden=16, layers=1, bidirectional=True)
    first = sequence.feature.clone()
    first[:, 0] += 1
    forth, back = (rnn._read(replace(sequence, feature=feature)) for feature in (sequence.feature, first))
    assert (forth != back)[sequence.mask.any(1)].any(1).all()


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="cell=elman: one of lstm, gru is expected"):
        RNN(cell="elman", hidden=4, layers=1, bidirectional=False)
