"""What a linear probe says of an encoder, class by class.

    python examples/linear_probe.py demo/run-seed0 demo/shapes

C is chosen on the training split alone; the test split is looked at once.
"""

import sys

import numpy as np

import adacross


def main(encoder: str, collection: str) -> None:
    result = adacross.evaluate("linear", encoder, collection)
    print(result.to_markdown())
    score, truth = result.score("pre-trained"), np.array(result.truth)
    right = np.array(score.outcomes[0])
    worst = sorted(np.unique(truth), key=lambda label: right[truth == label].mean())[:3]
    for label in worst:
        print(f"{result.data.classes[label]}: {100 * right[truth == label].mean():.0f} % right")


if __name__ == "__main__":
    main(*sys.argv[1:])
