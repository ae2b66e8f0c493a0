"""The emulated device does what a real one does, and catches what a real one would refuse or wait for."""

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch

pytestmark = pytest.mark.emulated


def test_a_tensor_says_that_it_is_on_the_device_and_holds_its_numbers(device: Any) -> None:
    x = torch.arange(6.0).view(2, 3).to("cuda")
    assert (x.device, x.is_cuda, x.shape) == (torch.device("cuda", 0), True, (2, 3))
    assert (x.t() @ x + 1).cpu().tolist() == [[10, 13, 16], [13, 18, 23], [16, 23, 30]]
    assert torch.equal(torch.zeros(2, device="cuda"), x.new_zeros(2))


def test_operations_on_two_devices_are_refused(device: Any) -> None:
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    for mixed in (
        lambda: there + here,
        lambda: here * there,
        lambda: torch.cat([there, here]),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: here[torch.tensor([0], device="cuda")],
        lambda: nn.Linear(3, 1)(there),
        lambda: there.index_add_(0, torch.tensor(0), there[:1]),
    ):
        with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu"):
            mixed()


def test_a_single_number_of_the_processor_may_take_part(device: Any) -> None:
    assert (torch.ones(3, device="cuda") * torch.tensor(2.0)).tolist() == [2, 2, 2]


def test_numpy_takes_no_tensor_of_the_device(device: Any) -> None:
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        torch.ones(2, device="cuda").numpy()


def test_what_fails_before_cuda_is_initialised_fails_here(device: Any) -> None:
    assert torch.cuda.is_available()
    assert not torch.cuda.is_initialized()
    with pytest.raises(RuntimeError, match="did you call init"):
        torch.cuda.reset_peak_memory_stats(0)
    torch.zeros(1, device="cuda")
    torch.cuda.reset_peak_memory_stats(0)


def test_a_seed_that_is_set_before_cuda_is_initialised_holds_after(device: Any) -> None:
    torch.manual_seed(3)
    first = torch.rand(4, device="cuda").tolist()
    torch.manual_seed(3)
    assert torch.rand(4, device="cuda").tolist() == first


def test_random_numbers_of_the_device_leave_those_of_the_processor_alone(device: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    nn.functional.dropout(torch.ones(100, device="cuda"))
    assert torch.equal(torch.rand(4), expected)


def test_a_generator_belongs_to_one_device(device: Any) -> None:
    there, here = torch.Generator("cuda"), torch.Generator()
    assert there.device == torch.device("cuda", 0)
    assert torch.rand(2, generator=there, device="cuda").is_cuda
    for generator, other in ((there, "cpu"), (here, "cuda")):
        with pytest.raises(RuntimeError, match="device type for generator"):
            torch.rand(2, generator=generator, device=other)


def test_copies_wait_unless_they_come_from_pinned_memory_and_need_not(device: Any) -> None:
    pageable, pinned = torch.ones(3), torch.ones(3).pin_memory()
    assert (pageable.is_pinned(), pinned.is_pinned(), pinned[1:].is_pinned()) == (False, True, True)
    assert torch.empty(3, pin_memory=True).is_pinned()
    for tensor, non_blocking, waits in (
        (pageable, False, 1),
        (pageable, True, 1),
        (pinned, False, 1),
        (pinned, True, 0),
    ):
        counts = device.count()
        there = tensor.to("cuda", non_blocking=non_blocking)
        there.copy_(tensor, non_blocking=non_blocking)
        assert counts.synchronizations.total() == 2 * waits
    counts = device.count()
    assert there.cpu().is_cpu
    assert there.tolist() == [1, 1, 1]
    assert there.sum().item() == 3
    assert counts.synchronizations.total() == 3


def test_a_wait_and_a_kernel_are_counted_at_their_line_of_the_program(
    device: Any, make_batch: Callable[..., EventBatch]
) -> None:
    batch = make_batch(3).to("cuda")
    counts = device.count()
    batch.mask_hits(batch.energy > 1)
    ((reason, line),) = counts.synchronizations
    assert (reason, line.partition(":")[0]) == ("nonzero", "batch.py")
    assert counts.kernels["index_select", line] == 0
    assert {line.partition(":")[0] for _, line in counts.kernels if "pytest" not in line} == {"batch.py"}


def test_the_backward_pass_is_counted_at_the_line_of_the_forward_pass(
    device: Any, make_batch: Callable[..., EventBatch]
) -> None:
    batch = make_batch(3).to("cuda")
    energy = batch.energy.requires_grad_()
    summed = batch.reduce(energy.unsqueeze(1), "sum").sum()
    counts = device.count()
    summed.backward()
    lines = {line for name, line in counts.kernels if name == "_segment_reduce_backward"}
    assert [line.partition(":")[0] for line in lines] == ["backward of batch.py"]


def test_what_waits_ends_in_an_error_where_torch_is_told_so(device: Any) -> None:
    x = torch.ones(3, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchronizing CUDA operation"):
        x.nonzero()
    torch.cuda.set_sync_debug_mode("warn")
    with pytest.warns(UserWarning, match="synchronizing CUDA operation"):
        bool(x.any())
    torch.cuda.set_sync_debug_mode("default")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.nonzero()


def test_mixed_precision_computes_products_in_bfloat16(device: Any) -> None:
    x = torch.ones(3, 3, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        assert nn.functional.scaled_dot_product_attention(x[None], x[None], x[None]).dtype == torch.bfloat16
        assert x.sum().dtype == torch.float32


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_what_cuda_computes_in_a_library_has_the_gradients_of_the_processor(device: Any, name: str) -> None:
    torch.manual_seed(1)
    layer, x = nn.LSTM(4, 4, batch_first=True), torch.randn(2, 5, 4)

    def result(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        y = layer(x)[0] if name == "lstm" else nn.functional.scaled_dot_product_attention(x, x, x)
        return torch.autograd.grad(y.square().sum(), x)[0].cpu()

    here = result(layer, x)
    torch.testing.assert_close(result(layer.to("cuda"), x.to("cuda")), here)


def test_inference_mode_works_with_weights_from_outside(device: Any) -> None:
    layer = nn.Linear(3, 2).to("cuda")
    with torch.inference_mode():
        y = layer.weight.expand(2, 2, 3)[0].add(1)
        assert y.is_inference()
        assert nn.functional.dropout(layer(y), training=False).shape == (2, 2)


def test_a_network_keeps_its_parameters_when_it_moves_and_is_copied(device: Any) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    weight = network[0].weight
    network.to("cuda")
    assert network[0].weight is weight
    assert isinstance(weight, nn.Parameter)
    copied = copy.deepcopy(network)
    assert isinstance(copied[0].weight, nn.Parameter)
    assert copied[0].weight.is_cuda
    network.cpu()
    assert network[0].weight is weight
    assert not weight.is_cuda


def test_a_checkpoint_of_the_device_opens_elsewhere_only_with_map_location(make_device: Callable[[], Any]) -> None:
    file = io.BytesIO()
    with make_device():
        torch.save(nn.Linear(3, 2).to("cuda").state_dict(), file)
    file.seek(0)
    with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
        torch.load(file, weights_only=True)
    file.seek(0)
    assert torch.load(file, weights_only=True, map_location="cpu")["weight"].is_cpu


def test_memory_is_counted_and_given_back(device: Any) -> None:
    free, total = torch.cuda.mem_get_info()
    x = torch.zeros(1000, device="cuda")
    half = x[:500]
    assert torch.cuda.memory_allocated() == 4000
    del x
    assert torch.cuda.memory_allocated() == 4000
    del half
    assert (torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()) == (0, 4000)
    assert torch.cuda.mem_get_info() == (free, total)


def test_streams_and_events_are_there(device: Any) -> None:
    stream, start, end = torch.cuda.Stream(), torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    with torch.cuda.stream(stream):
        x = torch.ones(3).pin_memory().to("cuda", non_blocking=True)
        end.record()
    torch.cuda.current_stream().wait_stream(stream)
    x.record_stream(torch.cuda.current_stream())
    counts = device.count()
    end.synchronize()
    assert counts.synchronizations.total() == 1
    assert start.elapsed_time(end) >= 0


def test_nothing_is_left_of_the_device_after_it(make_device: Callable[[], Any]) -> None:
    functions = vars(torch.cuda).copy()
    for _ in range(2):
        with make_device():
            assert not torch.cuda.is_initialized()
            torch.zeros(1, device="cuda")
        assert not torch.cuda.is_available()
        with pytest.raises((AssertionError, NotImplementedError)):
            torch.zeros(1, device="cuda")
    assert vars(torch.cuda) == functions
