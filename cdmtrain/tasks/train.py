"""cdmtrain task=train and task=pretrain: train, evaluate the best epoch, leave a run directory with its page."""

from omegaconf import DictConfig

from cdmtrain.cluster.preemption import Preemption
from cdmtrain.report.run.page import write_report
from cdmtrain.report.run.tables import show_results
from cdmtrain.training import train_run


def train(cfg: DictConfig) -> float | None:
    """Run one training and show its results; returns the validation cross entropy of the best epoch in nats.

    Of a pretraining it is the validation loss. A network that diverged in its first epoch has none.
    """
    trained = train_run(cfg, Preemption(), write_page=write_report)
    if trained.page:
        show_results(trained.results, trained.classes, trained.page)
    value = trained.results.get("val_cross_entropy", trained.results.get("val_loss"))
    return None if value is None else float(value)
