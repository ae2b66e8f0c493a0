"""The pages and tables that show what runs, data sets, benchmarks and searches found.

    kit/          what every page is made of: plotting style, HTML, tables, numbers, event displays
    run/          the page of one run, and the table at the end of its training
    leaderboard/  runs ranked side by side
    dataset/      the page of task=inspect
    benchmark/    the page of task=benchmark
    search.py     the page of task=search
    probe.py      the figure of task=probe

Everything is drawn from files: metrics are quoted from results.json and never computed again, curves come from
predictions.h5. Nothing here imports torch.
"""
