"""Recurrent network over the hits of an event (LSTM: Hochreiter and Schmidhuber, Neural Computation 9 (1997) 1735)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from cdmtrain.batch import Sequence


class RNN(nn.Module):
    """An LSTM reads the hits one by one; one linear layer reads its last state.

    Order matters to it, by construction. An event without a hit is read as one hit of zeros.

    Args:
        hidden: units of each recurrent layer.
        layers: number of recurrent layers.
        num_features: features of a hit as the representation gives them.
        num_classes: number of logits C.

    Shapes: Sequence with feature (B, L, F), mask (B, L) -> (B, C).
    """

    def __init__(self, *, hidden: int, layers: int, num_features: int = 3, num_classes: int = 4) -> None:
        super().__init__()
        self.lstm = nn.LSTM(num_features, hidden, num_layers=layers, batch_first=True)
        self.linear = nn.Linear(hidden, num_classes)

    def forward(self, sequence: Sequence) -> Float[Tensor, "event class"]:
        length = sequence.mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(sequence.feature, length, batch_first=True, enforce_sorted=False)
        _, (state, _) = self.lstm(packed)
        return self.linear(torch.flatten(state[-1:].transpose(0, 1), 1))
