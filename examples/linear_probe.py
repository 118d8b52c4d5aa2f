"""A linear SVM on frozen features, beside the same encoder untrained: `adacross evaluate linear` by hand.

    python examples/linear_probe.py demo/run-seed0/encoder demo/shapes

C is chosen on the training split alone; the test split is looked at once.
"""

import sys

from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import adacross


def accuracy(encoder: adacross.Encoder, shapes: adacross.Collection, points: int = 1024) -> float:
    train, test = shapes.indices("train"), shapes.indices("test")
    fit, score = (adacross.encode(encoder, shapes.points(split)[:, :points]) for split in (train, test))
    svm = GridSearchCV(SVC(kernel="linear"), {"C": [0.001, 0.01, 0.1, 1, 10]}, cv=3)
    svm.fit(fit, shapes.labels[train])
    return svm.score(score, shapes.labels[test])


def main(folder: str, collection: str) -> None:
    shapes = adacross.Collection.open(collection)
    encoder = adacross.load(folder)
    untrained = type(encoder)(**encoder.options)
    print(f"pre-trained {100 * accuracy(encoder, shapes):.1f} %")
    print(f"untrained   {100 * accuracy(untrained, shapes):.1f} %")


if __name__ == "__main__":
    main(*sys.argv[1:])
