"""Batch normalisation over a number of rows that may be zero or one."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM = 0.1  # weight of a batch in the running statistics, as is PyTorch's default


class SiteNorm(nn.BatchNorm1d):
    """Batch normalisation over sites or events (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Fewer than two rows have no variance: the running statistics normalise them and stay as they are. Batches are not
    counted (`num_batches_tracked` stays 0), which saves a kernel.

    Shapes: (N, C) -> (N, C).
    """

    def forward(self, x: Float[Tensor, "site channel"]) -> Float[Tensor, "site channel"]:
        training = False
        if self.training and len(x) > 1:  # a branch: the compiler would hand a symbol to batch_norm
            training = True
        statistics = self.running_mean, self.running_var
        return functional.batch_norm(x, *statistics, self.weight, self.bias, training, MOMENTUM, self.eps)
