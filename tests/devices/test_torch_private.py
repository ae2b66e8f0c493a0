"""torch still has the private interface that is used, and without it the program works all the same."""

import sys

import pytest
import torch

from cdmtrain.devices.torch_private import any_number_of_events


class Doubled(torch.nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return 2 * values


def exported(num_events: int) -> torch.Tensor:
    """What a network exported with two events gives for some others."""
    with any_number_of_events():
        dynamic = {"values": {0: torch.export.Dim.DYNAMIC}}
        program = torch.export.export(Doubled(), (torch.ones(2, 3),), dynamic_shapes=dynamic)
    return program.module()(torch.ones(num_events, 3))


def test_an_exported_network_takes_a_single_event() -> None:
    assert any_number_of_events().__class__.__name__ != "nullcontext"
    assert torch.equal(exported(1), torch.full((1, 3), 2.0))


def test_without_the_private_setting_an_export_still_takes_several_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.fx.experimental._config", None)
    assert torch.equal(exported(4), torch.full((4, 3), 2.0))
