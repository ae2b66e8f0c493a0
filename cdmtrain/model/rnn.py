"""Recurrent network over the hits of an event: LSTM (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735)
or GRU (Cho 2014, arXiv:1406.1078)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cdmtrain.batch import Sequence

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
GROUPS = 4  # of events of similar length, read one after another: three times as fast as one group on a processor


class RNN(nn.Module):
    """A recurrent network reads the hits one by one; one linear layer reads what it says at the end.

    Order matters to it, by construction. In two directions, a second network reads the hits backwards (Schuster and
    Paliwal 1997, doi:10.1109/78.650093), each layer sees what both say of every hit of the layer before, and the end is
    the last hit of one and the first of the other. Padding is never read. An event without a hit is read as one hit of
    zeros.

    Args:
        cell: lstm or gru.
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
        widths = [num_features] + layers * [hidden * (2 if bidirectional else 1)]
        self.forth, self.back = (
            nn.ModuleList(CELLS[cell](inputs, hidden, batch_first=True) for inputs in widths[:number])
            for number in (layers, layers if bidirectional else 0)
        )
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, sequence: Sequence) -> Float[Tensor, "event class"]:
        groups, index = sequence.by_length(GROUPS)
        return self.linear(torch.cat([self._read(group) for group in groups])[index])

    def _read(self, sequence: Sequence) -> Float[Tensor, "event hidden"]:
        last = sequence.mask.sum(1).clamp(min=1) - 1
        backwards = _backwards(sequence.mask)
        event = torch.arange(sequence.num_events, device=last.device)
        said = [sequence.feature]
        for number, forth in enumerate(self.forth):
            heard = torch.cat(said, dim=2)
            said = [forth(heard)[0]]
            if self.back:
                said.append(_taken(self.back[number](_taken(heard, backwards))[0], backwards))
        return torch.cat([said[0][event, last], *(each[:, 0] for each in said[1:])], dim=1)


def _backwards(mask: Bool[Tensor, "event place"]) -> Int[Tensor, "event place"]:
    """The places of each event's hits from its last to its first; padding stays where it is."""
    place = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - place, place)


def _taken(
    feature: Float[Tensor, "event place feature"], place: Int[Tensor, "event place"]
) -> Float[Tensor, "event place feature"]:
    return feature.gather(1, place.unsqueeze(2).expand(-1, -1, feature.shape[2]))
