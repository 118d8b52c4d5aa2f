"""How does accuracy grow with labels: those that `suggest` asks for, against as many drawn at random?

Somebody labels a collection's training shapes, `--ask` at a time; after each round the classes proposed for
all shapes that have no label are compared with the truth. Both ways propose by the same classifier, from the
same frozen features. The test split is not touched.

    python benchmarks/clicks.py ENCODER COLLECTION [--labels 400] [--seeds 5] [--out FILE] [--svg FILE]
"""

import argparse
from pathlib import Path

import numpy as np
from chart import Group, Line, Panel, draw
from harness import machine
from rich.console import Console
from rich.table import Table

from adacross.console import progress_bar
from adacross.data.collection.collection import Collection
from adacross.features.collection import collection_features
from adacross.features.sources import find_encoders
from adacross.io.files import whole_file, write_json
from adacross.labeling.propose import propose

COLORS = {"asked for": "#1f6f8b", "at random": "#b2512a"}


def grow(features: np.ndarray, truth: np.ndarray, way: str, ask: int, labels: int, seed: int) -> list[float]:
    """Accuracy of what is proposed after each round, in percent."""
    rng = np.random.default_rng(seed)
    known = np.full(len(truth), -1, dtype=np.int64)
    found = propose(features, known, ask=ask, seed=seed)
    accuracies = []
    for _ in range(labels // ask):
        chosen = (
            found.order if way == "asked for" else rng.choice(np.flatnonzero(known < 0), ask, replace=False)
        )
        known[chosen] = truth[chosen]
        found = propose(features, known, ask=ask, seed=seed)
        rest = known < 0
        accuracies.append(100 * float((found.label[rest] == truth[rest]).mean()))
    return accuracies


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoder", help="a run or an encoder's folder")
    parser.add_argument("collection", help="with classes; its training split is labeled")
    parser.add_argument("--ask", type=int, default=20, help="labels a round")
    parser.add_argument("--labels", type=int, default=400, help="labels in all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--svg", type=Path, help="draw the curves here")
    options = parser.parse_args(arguments)
    collection = Collection.open(options.collection)
    rows = collection.indices("train")
    encoder = find_encoders(options.encoder)[0].encoder
    features, truth = collection_features(encoder, collection, rows), collection.labels[rows]
    spread: dict[str, np.ndarray] = {}
    with progress_bar("trials") as progress:
        bar = progress.add_task("labeling", total=2 * options.seeds, note="")
        for way in COLORS:
            trials = []
            for seed in range(options.seeds):
                trials.append(grow(features, truth, way, options.ask, options.labels, seed))
                progress.advance(bar)
            spread[way] = np.array(trials)
    given = options.ask * np.arange(1, options.labels // options.ask + 1)
    data = f"{collection.info.name}, {len(rows):,} training shapes, {len(collection.info.classes)} classes"
    title = (
        f"Accuracy on shapes without a label: {data}, {encoder.kind}, {options.seeds} seeds, mean ± deviation"
    )
    table = Table("labels", *COLORS, title=title)
    for place, count in enumerate(given):
        table.add_row(
            f"{count}", *(f"{t[:, place].mean():.1f} ± {t[:, place].std():.1f} %" for t in spread.values())
        )
    Console(width=110).print(table)
    lines = [Line(way, COLORS[way], given, trials.mean(0), trials.std(0)) for way, trials in spread.items()]
    if options.svg:
        group = Group(data, "labels given", [Panel("% proposed rightly", lines)], columns=1, shared=True)
        with whole_file(options.svg) as temporary:
            temporary.write_text(draw([group]), encoding="utf-8")
    if options.out:
        curves = {way: trials.tolist() for way, trials in spread.items()}
        write_json(options.out, {"title": title, "machine": machine(), "labels": given.tolist(), **curves})


if __name__ == "__main__":
    main()
