"""Few-shot image classification with the image tower that pre-training leaves behind.

CrossPoint's paper fine-tunes its ResNet-50 on CIFAR-FS with RFS (Tian et al. 2020, Rethinking Few-Shot Image
Classification: a Good Embedding Is All You Need?, arXiv 2003.11539) and reports a clear gain in 5-way 1-shot
and 5-shot (published). Its figures were not found, and its program has no such part.

RFS trains a network on all base classes together with cross-entropy, freezes it, and solves episodes of new
classes by logistic regression on features of length 1 (published). The option `train` does so with the
numbers of RFS's program for CIFAR-FS, which are recalled, not checked: SGD with momentum 0.9, weight decay
5e-4, batches of 64, 90 epochs, learning rate 0.05, a tenth of it after 60 and again after 80; C = 1; images
cropped after padding by 4 of 32 pixels, color jitter of 0.4 and a flip, in training and for five copies of
each support image. RFS's own network is a ResNet-12; here it is the run's image tower.
"""

import base64
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image
from rich.progress import Progress
from torch import Generator, Tensor, nn

from adacross.console import progress_bar
from adacross.data.collection.schema import encode_view
from adacross.data.image_set import SUFFIXES, ImageSet, read_image_set
from adacross.data.transforms import augment_views, plain_views
from adacross.distributed.device import find_device
from adacross.encoders import ResNet
from adacross.encoders.frozen import frozen, in_batches
from adacross.errors import UserError, listed
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.ledger import Ledger
from adacross.evaluation.result import CHANCE, PRETRAINED, SCRATCH, UNTRAINED, Data, Measured, Score
from adacross.evaluation.supervised import Schedule, fit
from adacross.features.metrics import unit_rows
from adacross.io.files import content_digest
from adacross.methods import CrossModal, ImageTower
from adacross.methods.image_tower import GrayAsRGB, width_of
from adacross.training.checkpoint import load_checkpoint, save_state
from adacross.training.networks import load_method

PIXELS = "pixels"  # a baseline without a network
PIXELS_SIDE = 32  # of its images
PENALTY = 1.0  # C of the logistic regression
COPIES = 5  # augmented copies of each support image, with `train`
PADDING = 8  # random crops are padded by an eighth of the side: 4 pixels of CIFAR's 32
BATCH = 64  # images encoded together
DRAWN, DRAWN_SIDE = 3, 64  # queries of each class that the report shows, and their largest side in pixels

RFS = Schedule(
    epochs=90, batch_size=64, learning_rate=0.05, drops=(60 / 90, 80 / 90), weight_decay=5e-4,
    label_smoothing=0.0,
)  # fmt: skip


@dataclass(frozen=True)
class ImageFolder:
    """A folder of labeled images, which are read when their size is known: that of the run."""

    folder: Path

    def digest(self) -> str:
        """Return a digest of the images or pickles, of their names and content."""
        known = {*SUFFIXES, ".pickle", ""}
        found = (path for path in self.folder.rglob("[!.]*") if path.suffix.lower() in known)
        return content_digest(self.folder, found)


class Episode(NamedTuple):
    """A small classification task: indices of images, a row a class."""

    support: Int64[np.ndarray, "W K"]  # images to learn from
    queries: Int64[np.ndarray, "W Q"]  # images to classify


def draw_episodes(
    labels: Int64[np.ndarray, " n"], ways: int, shots: int, queries: int, count: int, seed: int = 0
) -> list[Episode]:
    """Draw episodes by a seed: `ways` of the classes with enough images, and images of each.

    An episode learns from `shots` images of each class, and classifies `queries` others.
    """
    rng = np.random.default_rng([seed, ways, shots, queries])
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    members = [images for images in members if len(images) >= shots + queries]
    episodes = []
    for _ in range(count):
        classes = rng.permutation(len(members))[:ways]
        drawn = np.stack([rng.permutation(members[place])[: shots + queries] for place in classes])
        episodes.append(Episode(drawn[:, :shots], drawn[:, shots:]))
    return episodes


def solve(
    support: Float[np.ndarray, "W S D"], queries: Float[np.ndarray, "W Q D"]
) -> Int64[np.ndarray, "W Q"]:
    """Predict the class of each query, 0 to W - 1.

    Multinomial logistic regression, scikit-learn's, with an L2 penalty at C = 1. Its weights lie in the span
    of the support features, so it is fitted in coordinates of that span, of which there are at most W S: the
    same function, whatever D is.
    """
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression

    ways, images, dim = support.shape
    known, asked = (each.reshape(-1, dim).astype(np.float64) for each in (support, queries))
    if len(known) < dim:
        _, _, axes = np.linalg.svd(known, full_matrices=False)
        known, asked = known @ axes.T, asked @ axes.T
    truth = np.repeat(np.arange(ways), images)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # half the time of small fits
        predicted: np.ndarray = LogisticRegression(C=PENALTY, max_iter=1000).fit(known, truth).predict(asked)
    return predicted.reshape(queries.shape[:2]).astype(np.int64)


def accuracy(predicted: Int64[np.ndarray, "W Q"]) -> float:
    """Return the share of an episode's queries that are predicted as their own class."""
    return float((predicted == np.arange(len(predicted))[:, None]).mean())


def random_crop(images: UInt8[Tensor, "B H W 3"], generator: Generator) -> UInt8[Tensor, "B H W 3"]:
    """Pad every image with black by an eighth of its width and crop its size at a random place."""
    _, height, width, _ = images.shape
    side = width // PADDING
    padded = nn.functional.pad(images, (0, 0, side, side, side, side))
    starts = torch.randint(2 * side + 1, (len(images), 2), generator=generator, device=images.device)
    places = zip(padded, starts.tolist(), strict=True)
    return torch.stack([image[y : y + height, x : x + width] for image, (y, x) in places])


def normalized_views(
    images: UInt8[Tensor, "B H W 3"], size: int, gray: bool, generator: Generator | None
) -> Float[Tensor, "B C S S"]:
    """Resize and normalize; with a generator, augment as RFS: crop, color jitter (RGB only), flip."""
    if generator is None:
        return plain_views(images, size, gray=gray)
    rgb, grays = augment_views(random_crop(images, generator), size, generator)
    return grays if gray else rgb


@dataclass(frozen=True, eq=False)
class Study:
    """Episodes of new classes to solve, and maybe base classes to learn before."""

    data: ImageSet  # of the new classes
    base: ImageSet | None  # of the base classes; None: networks stay as they are
    episodes: Mapping[str, Sequence[Episode]]  # by setting ("5-way 1-shot"), the same for all networks
    schedule: Schedule  # of the training on the base classes
    size: int  # side that images are resized to, in pixels
    gray: bool  # the networks take one channel
    device: str
    ledger: Ledger

    def features(self, network: nn.Module | None, copy: int | None = None) -> Float32[np.ndarray, "n D"]:
        """Encode all images, or an augmented copy, as features of length 1; without a network, pixels."""
        target = find_device(self.device)
        side = self.size if network else min(self.size, PIXELS_SIDE)
        generator = None if copy is None else Generator(target).manual_seed(copy)

        def encoded(images: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B D"]:
            views = normalized_views(images, side, self.gray, generator)
            return network(views) if network else views.flatten(1)

        with frozen(network.to(target) if network else nn.Identity()):
            return unit_rows(in_batches(encoded, self.data.pictures, BATCH, target))

    def measure(self, network: nn.Module | None, seed: int, name: str, progress: Progress) -> dict[str, Any]:
        """Solve all episodes with one network (None: pixels), which learns the base classes first, if any.

        Returns "accuracies" of the episodes by setting, and "first", the predictions in the first episode.
        """
        from sklearn.linear_model import LogisticRegression  # noqa: F401  loaded before its threads are limited
        from threadpoolctl import threadpool_limits

        if network and self.base:
            network = self.trained(network, self.base, seed, name, progress)
        bar = progress.add_task(f"{name}: episodes", total=sum(map(len, self.episodes.values())), note="")
        plain = self.features(network)
        copies = [self.features(network, copy) for copy in range(COPIES)] if self.base else [plain]
        known = np.stack(copies, axis=1)  # (n, copies, D)
        predicted: dict[str, list[Int64[np.ndarray, "W Q"]]] = {setting: [] for setting in self.episodes}
        with threadpool_limits(1):  # threads cost small fits ten times what they bring
            for setting, episodes in self.episodes.items():
                for support, queries in episodes:
                    features = known[support].reshape(len(support), -1, plain.shape[1])
                    predicted[setting].append(solve(features, plain[queries]))
                    progress.update(bar, advance=1, note=setting)
        progress.remove_task(bar)
        return {
            "accuracies": {setting: list(map(accuracy, each)) for setting, each in predicted.items()},
            "first": next(iter(predicted.values()))[0].tolist(),
        }

    def trained(
        self, network: nn.Module, base: ImageSet, seed: int, name: str, progress: Progress
    ) -> nn.Module:
        """Return a copy of a network that learned the base classes; the ledger keeps it until all is done."""
        tower = deepcopy(network).requires_grad_()  # it may have been frozen in pre-training
        finished = self.ledger.checkpoint(f"{name}-finished")
        if finished and finished.is_file():
            tower.load_state_dict(load_checkpoint(finished))
            return tower
        target = find_device(self.device)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            classifier = nn.Sequential(tower, nn.Linear(width_of(tower), len(base.classes)))

        def loss(batch: Int64[Tensor, " b"], generator: Generator) -> Float[Tensor, ""]:
            rows = batch.numpy()  # of arrays that may be read-only
            views, labels = (torch.tensor(each[rows], device=target) for each in (base.pictures, base.labels))
            views = normalized_views(views, self.size, self.gray, generator)
            return nn.functional.cross_entropy(classifier(views), labels)

        fit(
            classifier, len(base.labels), loss, self.schedule, seed=seed, device=target, progress=progress,
            note=f"{name}: training", checkpoint=self.ledger.checkpoint(name),
        )  # fmt: skip
        if finished:
            save_state(finished, tower.state_dict())
        return tower


@protocol(
    "images",
    open_data=lambda folder: ImageFolder(Path(folder)),
    data="a folder of labeled images: <class>/*.png, <split>/<class>/* (episodes come from test), or the "
    "pickles of CIFAR-FS or CIFAR-100",
)
def images(
    bench: Bench,
    ways: list[int] | None = None,
    shots: list[int] | None = None,
    queries: int = 15,
    episodes: int = 600,
    seeds: int = 3,
    tower: Literal["rgb", "gray"] = "rgb",
    train: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
) -> Measured:
    """Classify images from a few examples of each class with a run's image tower.

    An episode draws classes and a few images of each to learn from, then classifies others. The tower is
    frozen; its features (before the projection head) go into a logistic regression. The untrained tower and
    the pixels themselves solve the same episodes.

    With --train, as RFS (arXiv 2003.11539), the tower first learns the classes of the train split, which must
    be others than those of the test split; beside it a tower learns them from scratch. Ctrl-C keeps what is
    done; the same command continues.

    Args:
        bench: what to measure with.
        ways: classes per episode; 5 by default.
        shots: labeled images per class; 1 and 5 by default.
        queries: test images per class.
        episodes: episodes of each number of ways and shots.
        seeds: untrained towers, each with another initialization; with --train, trainings, each with another
            classifier, order and augmentation.
        tower: which of the run's image towers.
        train: train the tower on the classes of the train split first.
        epochs: with --train, passes over the train split; 90 by default.
        batch_size: with --train, images per step; 64 by default.
        learning_rate: with --train, the first one; 0.05 by default. It falls to a tenth after two thirds of
            the epochs and again after eight ninths.

    Raises:
        UserError: no run, tower or images, too few of them, classes in both splits, or a number out of range.

    Example:
        result = images("runs/parts", "CIFAR-FS")
        print(result.score("pre-trained", episode="5-way 1-shot").estimate)
    """
    ways, shots = ways or [5], shots or [1, 5]
    if min(*ways, 2) < 2 or min(*shots, queries, episodes, seeds) < 1:
        raise UserError(
            f"ways {ways}, shots {shots}, queries {queries}, episodes {episodes}, seeds {seeds}; expected at "
            "least 2 ways, and at least 1 of the others."
        )
    if not train and (epochs, batch_size, learning_rate) != (None, None, None):
        raise UserError("epochs, batch_size and learning_rate belong to the training. Give --train, too.")
    schedule = RFS.changed(epochs, batch_size, learning_rate)
    towers, size = _towers(bench.runs, tower)
    data = read_image_set(bench.data.folder, size)
    base = _base_classes(data, size) if train else None
    settings = {f"{way}-way {shot}-shot": (way, shot) for way in ways for shot in shots}
    left_out = _left_out(data, max(ways), sorted(set(shots)), queries)
    drawn = {name: draw_episodes(data.labels, *each, queries, episodes) for name, each in settings.items()}
    study = Study(data, base, drawn, schedule, size, tower == "gray", bench.device, bench.ledger)
    starts: dict[str, list[nn.Module | None]] = {
        PRETRAINED: [towers[seed % len(towers)] for seed in range(max(seeds if train else 1, len(towers)))],
        SCRATCH if train else UNTRAINED: [_untrained(towers[0], seed) for seed in range(seeds)],
        PIXELS: [None],
    }
    found: dict[str, list[dict[str, Any]]] = {network: [] for network in starts}
    with progress_bar("done") as progress:
        for network, each in starts.items():
            for seed, start in enumerate(each):
                name = f"{network}-{seed}".replace(" ", "-")
                piece = bench.ledger.once(name, partial(study.measure, start, seed, name, progress))
                found[network].append(piece)
    scores = []
    for setting, (way, _) in settings.items():
        score = partial(Score.of, metric="accuracy", units="episodes", episode=setting)
        for network, pieces in found.items():
            rows = [piece["accuracies"][setting] for piece in pieces]
            which = [seed % len(towers) if network == PRETRAINED else seed for seed in range(len(rows))]
            scores.append(score(network, outcomes=rows, networks=which))
        scores.append(score(CHANCE, outcomes=[1 / way]))
    described = f"{_described(towers[0])} ({tower})"
    how = "frozen"
    if base:
        how = f"trained on {len(base.classes)} base classes for {schedule.epochs} epochs (SGD, learning rate "
        how += f"{schedule.learning_rate:g} in steps); {COPIES} augmented copies of each support image"
    name, digest, learned = data.folder.resolve().name, bench.data.digest(), len(base.pictures) if base else 0
    return Measured(
        data=Data(name, digest, learned, len(data.pictures), data.classes, left_out),
        scores=scores,
        protocol=f"{episodes:,} episodes, {queries} queries a class; multinomial logistic regression "
        f"(C = {PENALTY:g}) on features of length 1; {described} of {size}-pixel images, {how}",
        notes=[
            "an accuracy is the mean over episodes, as the field reports it, and an interval over episodes "
            f"is about these {len(data.pictures):,} images"
        ],
        ids=[f"episode {number}, {queries} queries a class" for number in range(episodes)],
        details={
            "network": described,
            "size": size,  # side of the images, in pixels
            "split": data.split,  # "all" where there are no splits
            "epochs": schedule.epochs if base else 0,  # of training on the base classes
            "example": _example(data, *next(iter(drawn.items())), np.array(found[PRETRAINED][0]["first"])),
        },
    )


def _towers(runs: Sequence[Path | None], tower: str) -> tuple[list[nn.Module], int]:
    """Return the image encoders of runs, and the side of the images that they were trained on."""
    wanted = "Give a run of crosspoint, crossnet or adacrossnet."
    found, kinds = [], set()
    for run in runs:
        if run is None:
            raise UserError(f"the encoder is a point encoder alone; image towers are kept in runs. {wanted}")
        method, config = load_method(run)
        if not isinstance(method, CrossModal):
            raise UserError(f"{run} was pre-trained with {config.method}, which has no image tower. {wanted}")
        networks = {name: one.encoder for name, one in method.towers.items() if isinstance(one, ImageTower)}
        if tower not in networks:
            raise UserError(
                f"{run} ({config.method}) has no {tower} tower, only {' and '.join(networks)}; see --tower."
            )
        found.append(networks[tower])
        kinds.add((_described(found[-1]), width_of(found[-1]), method.image_size))
    if len(kinds) > 1:
        raise UserError(f"{listed(map(str, runs))} have different image towers or sizes; expected one kind.")
    return found, method.image_size


def _untrained(tower: nn.Module, seed: int) -> nn.Module:
    """Return a tower of the same architecture with new weights in every layer that can draw its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if isinstance(tower, ResNet):
            return ResNet(tower.depth, tower.channels, tower.conv1.out_channels)
        fresh = deepcopy(tower)
        for layer in fresh.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
        return fresh


def _described(tower: nn.Module) -> str:
    network = tower.encoder if isinstance(tower, GrayAsRGB) else tower
    return f"ResNet-{network.depth}" if isinstance(network, ResNet) else type(network).__name__


def _base_classes(novel: ImageSet, size: int) -> ImageSet:
    """Read the train split; an error unless its classes are others than those of the test split."""
    wanted = (
        "--train learns base classes and tests on new ones. Give the pickles of CIFAR-FS, or a folder with "
        "other classes in train/<class>/* than in test/<class>/*."
    )
    if novel.split == "all":
        raise UserError(f"{novel.folder} has no splits. {wanted}")
    base = read_image_set(novel.folder, size, "train")
    if shared := [name for name in base.classes if name in novel.classes]:
        raise UserError(f"{novel.folder} has {listed(shared)} in both train and test. {wanted}")
    return base


def _left_out(data: ImageSet, ways: int, shots: Sequence[int], queries: int) -> dict[str, str]:
    """Return the classes with too few images, and unreadable images; an error if too few classes are left."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    most = max(shots) + queries
    if (left := int((counts >= most).sum())) < ways:
        raise UserError(
            f"{data.folder} has {left} classes of {most} images or more; {ways}-way episodes need {ways}. "
            "Ask for fewer ways, shots or queries."
        )
    left_out = {
        f"{name} ({count} images)": f"too few for {' and '.join(lacking)} with {queries} queries"
        for name, count in zip(data.classes, counts, strict=True)
        if (lacking := [f"{each}-shot" for each in shots if count < each + queries])
    }
    unreadable = {f"{len(data.skipped)} images": f"not readable ({listed(data.skipped)})"}
    return left_out | (unreadable if data.skipped else {})


def _example(
    data: ImageSet, setting: str, episodes: Sequence[Episode], predicted: Int64[np.ndarray, "W Q"]
) -> dict[str, Any]:
    """Return the first episode, as the pre-trained tower solved it, for the report; images are base64."""
    support, queries = episodes[0]
    names = [data.classes[label] for label in data.labels[support[:, 0]]]
    return {
        "setting": setting,
        "accuracy": accuracy(predicted),
        "classes": names,
        "support": [[_webp(data.pictures[index]) for index in row] for row in support],
        "queries": [
            {"image": _webp(data.pictures[index]), "truth": name, "predicted": names[guess]}
            for name, row, guesses in zip(names, queries, predicted, strict=True)
            for index, guess in zip(row[:DRAWN], guesses, strict=False)
        ],
    }


def _webp(picture: UInt8[np.ndarray, "H W 3"]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((DRAWN_SIDE, DRAWN_SIDE))
    return base64.b64encode(encode_view(np.asarray(image))).decode("ascii")
