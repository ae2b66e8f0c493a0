"""The grouped search finds the nodes that a search of all pairs finds."""

import pytest
import torch

from cdmtrain.layers import nearest_nodes
from cdmtrain.layers.nearest_nodes import nearest_nodes as find

EVENT = torch.tensor([0] * 5 + [1] + [3] * 9 + [4] * 2)  # event 2 has no node


@pytest.mark.parametrize("max_pairs", [20_000_000, 40])
@pytest.mark.parametrize("k", [1, 4, 1000])
def test_nearest_nodes_are_those_of_all_pairs(monkeypatch, k, max_pairs):
    monkeypatch.setattr(nearest_nodes, "MAX_PAIRS", max_pairs)
    x = torch.randn(len(EVENT), 5, generator=torch.Generator().manual_seed(1))
    x[16] = x[15]  # a node is its own nearest even where another has the same features
    expected = set()
    for node, event in enumerate(EVENT.tolist()):
        inside = (event == EVENT).nonzero().squeeze(1)
        distance = (x[inside] - x[node]).norm(dim=1) - (inside == node).float()
        expected |= {(int(other), node) for other in inside[distance.argsort()[:k]]}
    edges = find(x, EVENT, 5, k)
    assert edges.shape[1] == len(expected)
    assert set(map(tuple, edges.T.tolist())) == expected


def test_a_batch_without_a_node_has_no_edge():
    assert find(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 2, 4).shape == (2, 0)
