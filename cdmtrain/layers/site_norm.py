"""Batch normalisation over a number of rows that may be zero or one."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class SiteNorm(nn.BatchNorm1d):
    """Batch normalisation over sites or events (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Fewer than two rows have no variance: the running statistics normalise them and stay as they are.

    Shapes: (N, C) -> (N, C).
    """

    def forward(self, x: Float[Tensor, "site channel"]) -> Float[Tensor, "site channel"]:
        if self.training and len(x) > 1:
            return super().forward(x)
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
