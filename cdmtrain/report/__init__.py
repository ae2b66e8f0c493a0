"""What a run looks like: its page, the table in the terminal, the picture of the particles.

    run directory --run_files--> RunFiles --training, confusion, roc, calibration, efficiency--> Drawing
                  --page--> report/index.html, report/*.png, report/*.csv

Everything is read from the run's files. A number is quoted from results.json and never computed again; curves are
drawn from predictions.h5. Nothing here imports torch.
"""
