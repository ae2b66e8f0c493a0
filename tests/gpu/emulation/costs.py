"""How many kernels CUDA starts for an operation, and which operations make the processor wait for the device.

The numbers of kernels are those of torch 2.11 on an H100, as its profiler shows them, for arrays of some thousand
numbers. They do not depend on sizes, except that a list of tensors takes a kernel for every 40 of them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

WITHOUT_KERNEL = {
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh", "lift", "_unsafe_view"),
    *("is_same_size", "_reshape_alias", "set_", "record_stream", "resize_", "_fused_sdp_choice"),
}
KERNELS = {
    "sort": 6,
    "argsort": 6,
    "topk": 4,
    "nonzero": 4,
    "masked_select": 5,
    "cumsum": 2,
    "_unique2": 12,
    "unique_consecutive": 10,
    "unique_dim": 14,
    "bincount": 4,
    "histc": 4,
    "segment_reduce": 3,
    "_segment_reduce_backward": 2,
    "scatter": 2,
    "scatter_add": 2,
    "scatter_reduce": 2,
    "index_add": 2,
    "index_put": 2,
    "repeat_interleave": 3,
    "_embedding_bag": 2,
    "_embedding_bag_dense_backward": 10,
    "native_batch_norm": 3,
    "native_batch_norm_backward": 3,
    "convolution": 2,
    "convolution_backward": 4,
    "native_layer_norm_backward": 2,
    "_cdist_forward": 1,
    "multinomial": 6,
    "randperm": 6,
}
# scatters whose order of adding is random are replaced by sorts, where torch has such a replacement
DETERMINISTIC = {
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce", "index_add", "index_put"), 12),
    **dict.fromkeys(("scatter_", "scatter_add_", "index_add_", "index_put_", "_index_put_impl_"), 11),
}
WAITS = {  # the reason, and how often an operation waits
    "_local_scalar_dense": 1,
    "nonzero": 1,
    "masked_select": 1,
    "equal": 1,
    "_unique2": 1,
    "unique_consecutive": 1,
    "unique_dim": 1,
    "bincount": 2,  # reads the smallest and the largest number
    "histc": 2,
    "multinomial": 1,
}
BY_INDEX = ("index", "index_put", "index_put_", "_index_put_impl_")


def kernels(name: str, args: Sequence[Any]) -> int:
    """The kernels of one operation of this name."""
    if name in WITHOUT_KERNEL:
        return 0
    if name.startswith(("_foreach_", "_fused_")):
        return max(1, -(-len(args[0]) // 40))
    masks = 4 * sum(1 for _ in _masks(name, args))
    if torch.are_deterministic_algorithms_enabled() and name in DETERMINISTIC:
        return DETERMINISTIC[name] + masks
    return KERNELS.get(name, 1) + masks


def waits(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[str]:
    """Why the processor waits for the device in this operation, once for each time."""
    yield from [name] * WAITS.get(name, 0)
    yield from ("index by a mask" for _ in _masks(name, args))
    if name == "segment_reduce" and not kwargs.get("unsafe", False):
        yield from 2 * ["segment_reduce checks lengths"]
    if name == "repeat_interleave" and kwargs.get("output_size") is None:
        yield "repeat_interleave"


def _masks(name: str, args: Sequence[Any]) -> Iterator[Tensor]:
    indices = args[1] if name in BY_INDEX else ()
    return (one for one in indices if isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8))
