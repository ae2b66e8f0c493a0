"""Recurrent network over the hits of an event: the plain one (Elman 1990, doi:10.1207/s15516709cog1402_1), LSTM
(Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735) or GRU (Cho 2014, arXiv:1406.1078).

Notable choices:
- the order of the hits matters, by construction;
- with `bidirectional`, a second network reads the hits backwards (Schuster and Paliwal 1997, doi:10.1109/78.650093),
  and each further layer sees the outputs of both.

Differences from the papers: the LSTM has a forget gate (doi:10.1162/089976600300015015); the GRU applies its reset gate
after the product of the state and its weights, as in version 1 of the paper, not before; the
plain network has tanh, where Elman has the logistic function. All are PyTorch's.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Sequence
from cdmtrain.layers.by_length import encode_by_length
from cdmtrain.layers.lstm import find_steps, lstm
from cdmtrain.layers.one_pass import fits_float32
from cdmtrain.layers.reverse import reverse

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RNN(nn.Module):
    """A recurrent network reads the hits one by one; one linear layer acts on its last outputs.

    The last output is the one at the last hit or, of the network that reads backwards, at the first. Padding is not
    read. An event without a hit is read as one hit of zeros.

    Args:
        cell: rnn, which is h_t = tanh(W x_t + b + U h_{t-1} + c), lstm or gru.
        hidden: units of each recurrent layer and direction.
        layers: number of recurrent layers.
        bidirectional: whether the hits are read backwards too.
        num_features: features of a hit as the representation gives them.
        num_classes: number of logits C.

    Shapes: Sequence with feature (B, L, F), mask (B, L) -> (B, C).
    """

    def __init__(
        self,
        *,
        cell: str,
        hidden: int,
        layers: int,
        bidirectional: bool,
        num_features: int = 3,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell={cell}: one of {', '.join(CELLS)} is expected")
        self.cell = cell
        widths = [num_features] + layers * [hidden * (2 if bidirectional else 1)]
        self.forward_rnn, self.backward_rnn = (
            nn.ModuleList(CELLS[cell](inputs, hidden, batch_first=True) for inputs in widths[:number])
            for number in (layers, layers if bidirectional else 0)
        )
        self.linear = nn.Linear(widths[-1], num_classes)
        self.register_load_state_dict_pre_hook(_rename_old_keys)

    def forward(self, sequence: Sequence) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(sequence))

    def embed(self, sequence: Sequence) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        if self.cell == "lstm" and fits_float32(sequence.feature):
            return self._read_without_padding(sequence)
        return encode_by_length(self._read, sequence, num_groups=4)

    def _read_without_padding(self, sequence: Sequence) -> Float[Tensor, "event hidden"]:
        steps, x = find_steps(sequence.mask), sequence.feature.flatten(0, 1)
        directions = [self.forward_rnn, self.backward_rnn] if self.backward_rnn else [self.forward_rnn]
        inputs = [x.index_select(0, element) for element in (steps.forwards, steps.backwards)[: len(directions)]]
        for cells in zip(*directions, strict=True):
            h = lstm(torch.stack(inputs), cells, steps)
            both = torch.cat([h[0], *(backward.index_select(0, steps.mirrored) for backward in h[1:])], dim=1)
            inputs = [both, both.index_select(0, steps.mirrored)][: len(directions)]
        return h.index_select(1, steps.last).transpose(0, 1).flatten(1)

    @torch.compiler.disable  # the compiler takes no recurrent layers
    def _read(self, sequence: Sequence) -> Float[Tensor, "event hidden"]:
        x, mask = sequence.feature, sequence.mask
        for number, forward_rnn in enumerate(self.forward_rnn):
            outputs = [forward_rnn(x)[0]]
            if self.backward_rnn:
                outputs.append(reverse(self.backward_rnn[number](reverse(x, mask))[0], mask))
            x = torch.cat(outputs, dim=2)
        last = mask.sum(1).clamp(min=1) - 1
        event = torch.arange(sequence.num_events, device=last.device)
        return torch.cat([outputs[0][event, last], *(backward[:, 0] for backward in outputs[1:])], dim=1)


def _rename_old_keys(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Checkpoints of version 0.1 have the networks under the names `forth` and `back`."""
    for old, new in (("forth", "forward_rnn"), ("back", "backward_rnn")):
        for key in [key for key in state_dict if key.startswith(f"{prefix}{old}.")]:
            state_dict[f"{prefix}{new}.{key.removeprefix(f'{prefix}{old}.')}"] = state_dict.pop(key)
