"""Fine-tuning for classification: the labels that pre-training saves."""

from dataclasses import replace
from functools import partial

import numpy as np
from rich.progress import Progress

from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.classification import OURS, PRESETS, Training, fine_tuned_predictions
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.labeled import Labeled
from adacross.evaluation.result import CHANCE, Measured, Paper, Score
from adacross.evaluation.supervised import both_starts, fraction_of, label_fractions, notes_on_labels

ACCURACY, BY_CLASS, VOTED = "accuracy", "mean class accuracy", "voted accuracy"


@protocol("fine-tune")
def fine_tune(
    bench: Bench,
    as_: Paper | None = None,
    fractions: list[float] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    points: int | None = None,
    seeds: int = 3,
    votes: int = 0,
    rotate_y: bool = False,
) -> Measured:
    """Fine-tune the whole network with 1 %, 10 % and 100 % of the labels, and train one from scratch.

    Labels come from the collection's training split, accuracy from its test split; the last step is the
    result. The network from scratch gets the same shapes, order and head. Ctrl-C keeps what is done; the same
    command continues.

    Args:
        as_: use a paper's head, optimizer and schedule with all labels (crossnet, adacrossnet, point-m2ae or
            joint-mae). Other options take precedence.
        fractions: fractions of the labels; 0.01, 0.1 and 1.0 by default, 1.0 with --as.
        epochs: passes over the labeled shapes; 20 by default, and at least 200 steps.
        batch_size: shapes per step; 32 by default.
        learning_rate: peak learning rate; 0.001 with Adam by default.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        seeds: repetitions, each with other labeled shapes, order and head; at least one per run.
        votes: number of test-time augmentations, reported separately; 10 in some papers, 0 for none.
        rotate_y: rotate training shapes by random angles about the up axis.

    Raises:
        UserError: no such encoder or collection, no classes, an option out of its range, a paper that did not
            fine-tune classifiers.

    Example:
        result = fine_tune("runs/parts", "collections/parts", fractions=[0.1])
        result.score("pre-trained", labels="10 %").estimate
    """
    shares = label_fractions(fractions, [1.0] if as_ else [0.01, 0.1, 1.0])
    if as_ and as_ not in PRESETS:
        raise UserError(f"{as_} published no fine-tuned classification; --as knows {', '.join(PRESETS)}.")
    if seeds < 1 or votes < 0:
        raise UserError(f"seeds is {seeds} and votes {votes}; expected at least 1 and at least 0.")
    training = Training.chosen(
        bench, OURS, PRESETS, as_, points,
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
    )  # fmt: skip
    training = replace(training, rotate_y=rotate_y)
    shapes, classes = Labeled.of(bench.collection), len(bench.collection.info.classes)
    train_labels, truth = shapes.labels
    clouds, test = (bench.collection.points(indices) for indices in (shapes.train, shapes.test))

    def predicted(fraction: float, encoder: Encoder, seed: int, note: str, progress: Progress) -> np.ndarray:
        chosen = fraction_of(train_labels, fraction, seed)
        labeled = (clouds[chosen], train_labels[chosen])
        return fine_tuned_predictions(
            bench, note, encoder, labeled, test, classes, training, seed=seed, progress=progress, votes=votes
        )

    scores, counts = [], {}
    for setting, fraction in shares.items():
        counts[setting] = len(fraction_of(train_labels, fraction, seed=0))
        measured = both_starts(bench, seeds, f"{setting} of labels", partial(predicted, fraction))
        for network, turns, answers in measured:
            plain, *voted = np.stack(answers, axis=1)
            score = partial(Score.of, network, networks=turns, labels=setting)
            scores += [
                score(ACCURACY, plain == truth, predictions=plain),
                score(BY_CLASS, plain == truth, groups=truth),
                *(score(VOTED, each == truth, predictions=each) for each in voted),
            ]
    scores += [
        Score.of(CHANCE, ACCURACY, [shapes.majority]),
        Score.of(CHANCE, BY_CLASS, [1 / len(np.unique(truth))]),
    ]
    return Measured(
        data=shapes.data(),
        scores=scores,
        protocol=f"whole network fine-tuned: {training}; chance: the largest class",
        notes=[
            *notes_on_labels(counts, bench.repetitions(seeds)),
            *([f"{votes} votes: probabilities of scaled and shifted copies are added"] if votes else []),
        ],
        ids=shapes.ids,
        truth=truth.tolist(),
        # points per cloud; votes; labeled: number of labeled shapes by setting ("10 %")
        details={"points": training.points, "votes": votes, "labeled": counts},
    )
