"""Train particle-image classifiers from one command.

    HDF5 images --data--> EventBatch --representation--> Image | Graph | Sequence --model--> logits
         ^                (sparse)      (on the device)                                        |
    simulation                                                    classifier (Lightning): loss, metrics
                                                                                               |
                                                          run directory --report--> page

One word is one file is one yaml: `model=gnn` is `conf/model/gnn.yaml` and `cdmtrain/model/gnn.py`.
"""

__version__ = "0.1.0"
