"""How much faster is the linear SVM probe, fit and score?

Against scikit-learn's `SVC(kernel="linear")` on the same features: 9,840 training and 2,468 test rows of
2,048 features, 40 classes, as ModelNet40's. Features are made up: a class's center and noise, cut at 0, and a
part of them pooled by maximum, as networks' are. Predictions are checked to be the same.

    python benchmarks/probe.py [--out probe.json]

The floor is the Gram matrix' arithmetic, each product once, in double precision.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from harness import Row, compare, device_name, publish
from sklearn.svm import SVC

from adacross.features.svm import fixed_svm

C = 0.01


def features(
    train: int, test: int, width: int, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test features and their labels."""
    rng = np.random.default_rng(0)
    centers = 0.35 * rng.standard_normal((classes, width))

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(classes, size=count)
        labels[:classes] = np.arange(classes)
        rows = centers[labels] + rng.standard_normal((count, width))
        rows[:, ::2] = np.maximum(rows[:, ::2], rng.standard_normal((count, width // 2)))
        return np.maximum(rows, 0).astype(np.float32), labels

    return *draw(train), *draw(test)


def double_rate() -> float:
    """Operations a second of a product in double precision."""
    a = torch.randn(2048, 2048, dtype=torch.float64)
    return 2 * 2048**3 / compare({"": lambda: a @ a}, 5)[""].low


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    sizes = (120, 60, 16, 5) if options.quick else (9840, 2468, 2048, 40)
    train, labels, test, answers = features(*sizes)
    found: dict[str, np.ndarray] = {}

    def plain() -> None:
        machine = SVC(kernel="linear", C=C, cache_size=1000).fit(train, labels)
        found["plain"] = machine.predict(test)

    def ours() -> None:
        found["ours"] = fixed_svm(train, labels, test, C)

    ours()  # imports
    times = compare({"plain": plain, "ours": ours}, options.turns, warm_up=False)
    differing = int((found["plain"] != found["ours"]).sum())
    if differing:
        raise SystemExit(f"{differing} of {len(test)} predictions differ.")
    n, _, width, classes = sizes
    floor = n**2 * width / double_rate()
    what = f"linear SVM, {n:,} x {width:,} features, {classes} classes, fit and score"
    rows = [Row.of(what, device_name("cpu"), times, 8, 0.0, None, floor, "Gram matrix, in double precision")]
    accuracy = float((found["ours"] == answers).mean())
    publish("The linear probe against scikit-learn's SVC", rows, options.out, accuracy=accuracy)


if __name__ == "__main__":
    main()
