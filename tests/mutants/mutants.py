"""Faults that somebody could make, each as a change of one line, and the tests that must notice it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """Replace `old`, which occurs once in cdmtrain/<file>, by `new`: one of `tests` must fail."""

    file: str
    old: str
    new: str
    tests: str = ""  # files below tests/, separated by blanks; without any, those of the same name

    @property
    def test_files(self) -> list[str]:
        room, _, module = self.file.removesuffix(".py").rpartition("/")
        own = f"{room}/test_{module}.py" if room else f"test_{module}.py"
        return [f"tests/{name}" for name in (self.tests or own).split()]


CLASSIFIER = "classifier/test_classifier.py"
SPARSE = "layers/test_sparse_convolution.py"

MUTANTS = [
    # model
    Mutant("model/transformer.py", "[..., 1:3].unsqueeze(-1) * self", "[..., 1:3].unsqueeze(-1) * 0 * self"),
    Mutant("model/transformer.py", "x = x + self.dropout(self.joined", "x = self.dropout(self.joined"),
    Mutant("model/transformer.py", "make_activation(activation)", 'make_activation("relu")'),
    Mutant("model/transformer.py", "(query, key, value, attn_mask=mask[:, None, None]", "(query, key, value"),
    Mutant("model/transformer.py", "weights.shape[2] ** 0.5", "weights.shape[2]"),
    Mutant("model/graph_network.py", "else e + new_e", "else new_e"),
    Mutant("model/graph_network.py", "(v + new_v, u + new_u)", "(new_v, u + new_u)"),
    Mutant("model/graph_network.py", "return self.rho(e, target", "return self.rho(e, graph.edge_index[0]"),
    Mutant("model/graph_network.py", "total / num_edges.clamp(min=1), ", "total, "),
    Mutant(
        "model/graph_network.py",
        "v = torch.cat([v, u.index_select(0, n)]",
        "v = torch.cat([v, 0 * u.index_select(0, n)]",
    ),
    Mutant(
        "model/sparse_resnet.py", "hits.event_feature.to(features.dtype)", "0 * hits.event_feature.to(features.dtype)"
    ),
    Mutant("model/sparse_resnet.py", "neighbours, residual=x)", "neighbours)"),
    Mutant("model/gnn.py", "x if number == 0 else self.activation(x)", "x"),
    Mutant("model/gnn.py", "size=graph.num_events", "size=None", "model/test_gnn.py test_models.py"),
    Mutant("model/rnn.py", "last = mask.sum(1).clamp(min=1) - 1", "last = mask.sum(1) * 0 + mask.shape[1] - 1"),
    Mutant(
        "model/rnn.py",
        "outputs.append(reverse(self.backward_rnn[number](reverse(x, mask))[0], mask))",
        "outputs.append(self.backward_rnn[number](x)[0])",
    ),
    Mutant("model/vit.py", "+ self.position[patches.number]", "+ self.position[0]"),
    Mutant("model/resnet.py", "stride = 2 if stage > 0 and index == 0 else 1", "stride = 2 if index == 0 else 1"),
    # layers
    Mutant("layers/sites.py", "KernelMap(table, table.flip(1), None)", "KernelMap(table, table, None)"),
    Mutant("layers/sites.py", "corner == 2 * row + column", "corner == 2 * column + row"),
    Mutant("layers/sites.py", "if grid[r, c] < coarse_offset[event]:", "if grid[r, c] < 0:"),
    Mutant(
        "layers/pair_lists.py",
        "source - first_source, target - first",
        "source - first, target - first",
        "layers/test_sites.py",
    ),
    Mutant(
        "layers/normed_convolution.py",
        "add_products(of_sums, matrices, of_x[sources], target, source, begin[group])",
        "add_products(of_sums, matrices, of_x[sources], source, target, begin[group])",
        SPARSE,
    ),
    Mutant("layers/normed_convolution.py", "variance * sites / (sites - 1)", "variance", SPARSE),
    Mutant("layers/normed_convolution.py", "+ slope[k] * sums[row, k] ", "", SPARSE),
    Mutant("layers/lstm.py", "begin[left] + rank, last)", "rank, last)"),
    Mutant("layers/lstm.py", "of_cell[k] = of_new * f", "of_cell[k] = of_new"),
    Mutant("layers/edge_update.py", " - along[i] * normed[i, k])", ")"),
    Mutant("layers/edge_update.py", "len(bias) + eps)", "len(bias))"),
    Mutant("layers/in_parts.py", "first, *others = parts", "first, *others = parts[:1]", SPARSE),
    Mutant("layers/ragged_attention.py", "of_row[i] - mean[i]", "of_row[i]"),
    Mutant("layers/ragged_attention.py", "add_product(of_weights, queries[own]", "add_product(of_weights, queries"),
    Mutant("layers/attended_means.py", "weights[j, i] /= total[i]", "weights[j, i] /= total[0]"),
    Mutant("layers/feed_forward.py", "return of_x + gradient", "return of_x"),
    Mutant("layers/feed_forward.py", "below + row[k] * density", "below"),
    Mutant("layers/row_products.py", 'builder.icmp_signed("<", lanes', 'builder.icmp_signed("<=", lanes'),
    Mutant("layers/site_norm.py", "self.training and len(x) > 1", "self.training"),
    Mutant("layers/mean_max_pooling.py", 'reduce_events(x, offset, "max")', 'reduce_events(x, offset, "sum")'),
    Mutant("layers/pixel_linear.py", "return rows + self.bias", "return rows"),
    Mutant(
        "layers/pair_linear.py",
        "self.target(x).index_select(0, target) + self.source(x).index_select(0, source)",
        "self.target(x).index_select(0, source) + self.source(x).index_select(0, target)",
    ),
    # representation
    Mutant("representation/graph.py", "batch.energy > self.threshold_mev", "batch.energy >= self.threshold_mev"),
    Mutant(
        "representation/graph.py",
        "event_features(self.event_features, batch)",
        "event_features(self.event_features, nodes)",
        "representation/test_graph.py model/test_event_features.py representation/test_event_features.py",
    ),
    Mutant(
        "representation/neighbours.py",
        "shifts = ((0, 1), (1, 0), (1, 1), (1, -1))",
        "shifts = ((0, 1), (1, 0), (1, 1))",
    ),
    Mutant("representation/neighbours.py", "<= self.radius_px**2", "< self.radius_px**2"),
    Mutant("representation/neighbours.py", "rows * rows > squared[k - 1]", "rows * rows >= squared[k - 1]"),
    Mutant("representation/order.py", "_sorted(batch, -batch.energy)", "_sorted(batch, batch.energy)"),
    Mutant(
        "representation/scale.py",
        "torch.log1p(energy / self.reference_mev)",
        "torch.log1p(energy * self.reference_mev)",
    ),
    Mutant(
        "batch.py",
        "self.pixel.add(self._event(), alpha=size**2)",
        "self.pixel.add(self._event(), alpha=size)",
    ),
    Mutant(
        "representation/sequence.py",
        "mask = torch.arange(length, device=event.device) < num_hits",
        "mask = torch.arange(length, device=event.device) <= num_hits",
    ),
    Mutant(
        "representation/edge_features.py",
        "source, target = torch.stack",
        "target, source = torch.stack",
        "representation/test_features.py",
    ),
    Mutant(
        "representation/features.py",
        "torch.stack([hits.row, hits.column], dim=1) / last",
        "torch.stack([hits.column, hits.row], dim=1) / last",
    ),
    Mutant("representation/event_features.py", "gap = last - batch.reduce", "gap = batch.image_size - batch.reduce"),
    Mutant(
        "representation/principal_axis.py",
        "return torch.atan2(2 * yx, xx - yy) / 2",
        "return torch.atan2(2 * yx, yy - xx) / 2",
        "representation/test_order.py representation/test_event_features.py",
    ),
    # loggers, report, probe
    Mutant("callbacks/loggers.py", 'metrics["epoch"] + 1', 'metrics["epoch"]'),
    Mutant("report/run/curves.py", "val[best] + 2 * scatter", "val[best]", "report/run/test_points.py"),
    Mutant(
        "probe/learned.py", "attention.flatten(1)[batch.event, batch.pixel]", "attention.flatten(1)[batch.event, 0]"
    ),
    # classifier, metrics, loss
    Mutant("loss.py", "weight * far**self.gamma * log_p", "weight * log_p"),
    Mutant(
        "classifier.py",
        "batch = self.augmentation(batch, self._generator(batch_index))",
        "batch = self.augmentation(batch, self._generator(0))",
        CLASSIFIER,
    ),
    Mutant("classifier.py", "return loss * batch.weight", "return loss", CLASSIFIER),
    Mutant(
        "classifier.py",
        "update(self.loss(logits, batch.class_index), batch.num_events)",
        "update(self.loss(logits, batch.class_index), 1)",
        CLASSIFIER,
    ),
    Mutant("metrics.py", "score = (logits[:, signal]", "score = -(logits[:, signal]"),
    Mutant("metrics.py", "in_pair = np.isin(truth, (signal, ", "in_pair = np.isin(truth, (0, 1, "),
    Mutant("intervals.py", "- background / 2", ""),
    Mutant("intervals.py", "0.25 / total**2", "0.25 / total"),
    Mutant("intervals.py", 'side="right"', 'side="left"'),
    Mutant("metrics.py", "counts.sum(0)", "counts.sum(1)"),
    # data
    Mutant(
        "data/split.py",
        "return round(part[0] * num_events), round(part[1] * num_events)",
        "return int(part[0] * num_events), int(part[1] * num_events)",
    ),
    Mutant("data/split.py", "[self._fold :: self._folds]", "[self._fold + 1 :: self._folds]"),
    Mutant("data/loader.py", "(seed, epoch)).generate_state", "(seed, 0)).generate_state"),
    Mutant(
        "data/loader.py",
        'self._state = {"epoch": epoch, "event": end}',
        'self._state = {"epoch": epoch, "event": start}',
    ),
    Mutant("data/loader.py", "weight *= self._world_size * len(mine) / len(dataset_index)", "weight *= 1.0"),
    Mutant("data/loader.py", "dataset_index[self._rank :: self._world_size]", "dataset_index[:: self._world_size]"),
    Mutant(
        "data/store.py",
        "class_index=self.class_index[dataset_index],",
        "class_index=self.class_index[: len(dataset_index)],",
    ),
    Mutant(
        "data/store.py", 'about["files"] == _file_facts(directory)', "True", "data/test_store.py data/test_cache.py"
    ),
    Mutant("data/device.py", "offset[1:], right=True", "offset[1:]"),
    Mutant(
        "data/hits.py",
        "to_energy[begin + hit] = energy[start + hit]",
        "to_energy[begin + hit] = energy[start]",
        "data/test_hits.py data/test_store.py",
    ),
]
