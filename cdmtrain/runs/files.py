"""The names of the files in a run directory. No other module spells one of them."""

CONFIG = "config.yaml"
PROVENANCE = "provenance.json"
STATUS = "status.json"
SUBMISSION = "submission.json"
METRICS = "metrics.csv"
RESULTS = "results.json"
PREDICTIONS = "predictions.h5"
MISTAKES = "mistakes.h5"
LEARNED = "learned.h5"
PRETRAINED = "pretrained.h5"
CALIBRATION = "calibration.json"
LOCK = ".lock"

CHECKPOINTS = "checkpoints"
BEST_CHECKPOINT = "checkpoints/best.ckpt"
LAST_CHECKPOINT = "checkpoints/last.ckpt"
PREVIOUS_CHECKPOINT = "checkpoints/previous.ckpt"  # the last one before it, until the training is over
RESUMABLE = (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT)  # the newest first

REPORT = "report"
PAGE = "report/index.html"

EXPECTED = (CONFIG, PROVENANCE, STATUS, METRICS, RESULTS, PREDICTIONS)  # of a finished training
EXPECTED_WITHOUT_LABELS = (CONFIG, PROVENANCE, STATUS, METRICS, RESULTS, PRETRAINED)  # of a finished pretraining
WRITTEN_BY_TRAINING = (PROVENANCE, STATUS, METRICS, RESULTS, PREDICTIONS, MISTAKES, LEARNED, PRETRAINED, CALIBRATION)
