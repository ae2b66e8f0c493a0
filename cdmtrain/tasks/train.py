"""cdmtrain task=train and task=pretrain: train, evaluate the best epoch, leave a run directory with its page."""

from pathlib import Path

from omegaconf import DictConfig

from cdmtrain.cluster.preemption import Preemption
from cdmtrain.training import train_run


def train(cfg: DictConfig) -> float | None:
    """Run one training and show its results; returns the validation cross entropy of the best epoch in nats.

    Of a pretraining it is the validation loss. A network that diverged in its first epoch has none.
    """
    trained = train_run(cfg, Preemption(), write_page=write_report)
    if trained.page:
        from cdmtrain.report.run.tables import show_results

        show_results(trained.results, trained.classes, trained.page)
    value = trained.results.get("val_cross_entropy", trained.results.get("val_loss"))
    return None if value is None else float(value)


def write_report(run_dir: Path) -> Path:
    """Write the page of a run; matplotlib is imported after the training, whose peak of memory it would raise."""
    from cdmtrain.report.run import page

    return page.write_report(run_dir)
