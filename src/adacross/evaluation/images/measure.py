"""Few-shot classification of pictures with the image tower that pre-training leaves behind.

CrossPoint's paper *fine-tunes* its ResNet-50 on CIFAR-FS with RFS (Tian et al. 2020, arXiv 2003.11539) and
reports a clear gain; its figures are not known to us, and its program has no such part. Ours is what RFS does
once an encoder is there: the encoder is frozen, and each episode is solved by logistic regression on features
of length 1. (C = 1 and 15 queries a class are recalled to be its program's, which also adds five augmented
copies of each support picture; we add none.)
"""

import base64
import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import nn

from adacross.console import console, progress_bar
from adacross.data.collection.schema import encode_view
from adacross.data.image_set import ImageSet, read_image_set
from adacross.encoders import ResNet
from adacross.errors import UserError, listed
from adacross.evaluation.images.episodes import PENALTY, Study, accuracy, solve
from adacross.evaluation.images.result import NAMES, EpisodeScore, Example, ImageFewShotResult, Query, Setting
from adacross.evaluation.results import Ledger, check_output, result_path, save
from adacross.features.collection import weights_digest
from adacross.features.sources import find_encoders, usual_device
from adacross.methods import CrossModal, ImageTower
from adacross.methods.image_tower import GrayAsRGB
from adacross.training.networks import load_method

__all__ = ["ImageFewShotResult", "enough", "evaluate_images", "measure_images"]

Tower = Literal["rgb", "gray"]
DRAWN, DRAWN_SIDE = 3, 64  # queries of each class that the report shows, and how large


def measure_images(
    towers: Sequence[nn.Module],
    data: ImageSet,
    *,
    size: int,
    ways: Sequence[int] = (5,),
    shots: Sequence[int] = (1, 5),
    queries: int = 15,
    episodes: int = 600,
    seeds: int = 3,
    device: str = "cpu",
    names: Sequence[str] = ("run",),
    result: Path | None = None,
) -> ImageFewShotResult:
    """Solve episodes with frozen features of pre-trained image towers, of untrained ones, and with pixels.

    All three see the same episodes. Several towers, which should differ in their pre-training seed only, take
    turns, one a seed; each seed draws its own episodes and its own untrained tower. Nothing is chosen.

    Args:
        towers: one or more pre-trained image encoders of one architecture, with `dim`.
        data: the pictures; classes with too few of them are left out, and named.
        size: side that pictures are resized to for the towers.
        ways: classes of an episode.
        shots: pictures of each class that are learnt from.
        queries: pictures of each class that are asked for.
        episodes: of every seed.
        seeds: how many, at least one for each tower.
        device: where features are computed.
        names: the towers' names, for the record.
        result: where the result will be written; finished seeds are kept beside it until then.

    Raises:
        UserError: a number out of its range, or too few classes with enough pictures.
    """
    if min(*ways, 2) < 2 or min(*shots, queries, episodes, seeds) < 1:
        raise UserError(
            f"ways {list(ways)}, shots {list(shots)}, queries {queries}, episodes {episodes}, seeds {seeds}; "
            "expected at least 2 ways, and at least 1 of the others."
        )
    data = enough(data, max(ways), max(shots) + queries)
    gray = getattr(towers[0], "channels", 3) == 1
    study = Study(data, size, gray, tuple(ways), tuple(shots), queries, episodes, device)
    repetitions = list(range(max(seeds, len(towers))))
    ledger = Ledger(
        result,
        {
            "data": [hashlib.blake2b(array.data).hexdigest() for array in (data.pictures, data.labels)],
            "towers": [weights_digest(tower) for tower in towers],
            "protocol": [size, list(ways), list(shots), queries, episodes],
        },
    )
    with progress_bar("episodes") as progress:
        total = len(repetitions) * len(study.settings) * len(NAMES) * episodes
        task = progress.add_task("few-shot pictures", total=total, note="")
        found = []
        for seed in repetitions:
            tower = towers[seed % len(towers)]
            arms = dict(zip(NAMES, (tower, _untrained(tower, seed), None), strict=True))
            found.append(ledger.once(f"seed{seed}", partial(study.accuracies, arms, seed, progress, task)))
            progress.update(task, completed=total * len(found) // len(repetitions))
    settings = [
        _setting(ways, shots, {arm: [piece[arm][place] for piece in found] for arm in NAMES})
        for place, (ways, shots) in enumerate(study.settings)
    ]
    first = towers[0]
    return ImageFewShotResult(
        task="images",
        data=data.folder.resolve().name,
        layout=data.layout,
        split=data.split,
        classes=data.classes,
        pictures=len(data.pictures),
        skipped=len(data.skipped),
        encoders=list(names),
        tower="gray" if gray else "rgb",
        network=f"{_described(first)} ({'grey' if gray else 'RGB'}), {first.dim} features",
        size=size,
        queries=queries,
        episodes=episodes,
        classifier=f"multinomial logistic regression, C {PENALTY:g}, on frozen features of length 1",
        spread=_spread(len(towers), len(repetitions), episodes),
        seeds=repetitions,
        settings=settings,
        example=_example(study, first),
    )


def enough(data: ImageSet, ways: int, pictures: int) -> ImageSet:
    """The classes that have enough pictures.

    Raises:
        UserError: fewer than `ways`.
    """
    counts = np.bincount(data.labels, minlength=len(data.classes))
    kept = np.flatnonzero(counts >= pictures)
    few = [data.classes[label] for label in np.flatnonzero(counts < pictures)]
    if len(kept) < ways:
        raise UserError(
            f"{data.folder} has {len(kept)} classes of {pictures} pictures or more; {ways}-way episodes need "
            f"{ways}. Ask for fewer ways, shots or queries."
        )
    if not few:
        return data
    console.print(f"fewer than {pictures} pictures, left out: {listed(few)}", style="yellow")
    chosen = np.isin(data.labels, kept)
    classes, labels = [data.classes[label] for label in kept], np.searchsorted(kept, data.labels[chosen])
    return replace(data, classes=classes, pictures=data.pictures[chosen], labels=labels)


def _untrained(tower: nn.Module, seed: int) -> nn.Module:
    """A tower of the same architecture with freshly drawn weights, in every layer that can draw its own."""
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


def _setting(ways: int, shots: int, found: dict[str, list[list[float]]]) -> Setting:
    scores = {arm: EpisodeScore.of(episodes) for arm, episodes in found.items()}
    pairs = zip(found["pretrained"], found["untrained"], strict=True)
    gain = EpisodeScore.of([np.subtract(*pair).tolist() for pair in pairs])
    return Setting(ways, shots, **scores, gain=gain)


def _spread(towers: int, seeds: int, episodes: int) -> str:
    several = f"; {towers} pre-training seeds take turns" if towers > 1 else ""
    over = f"{seeds} seeds (other episodes, another untrained tower{several})" if seeds > 1 else "one seed: 0"
    return f"±: 95 % confidence interval over the {episodes} episodes of a seed; std over {over}"


def _example(study: Study, tower: nn.Module) -> Example:
    """The first seed's first episode of the first setting."""
    ways, shots = study.settings[0]
    (episode,) = study.drawn(ways, shots, 0, count=1)
    predicted = solve(study.features(tower), episode)
    names = [study.data.classes[label] for label in episode.classes]
    return Example(
        setting=f"{ways}-way {shots}-shot",
        accuracy=accuracy(predicted),
        classes=names,
        support=[[_webp(study.data.pictures[index]) for index in row] for row in episode.support],
        queries=[
            Query(_webp(study.data.pictures[index]), names[way], names[predicted[way, place]])
            for way, row in enumerate(episode.queries)
            for place, index in enumerate(row[:DRAWN])
        ],
    )


def _webp(picture: UInt8[np.ndarray, "H W 3"]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((DRAWN_SIDE, DRAWN_SIDE))
    return base64.b64encode(encode_view(np.asarray(image))).decode("ascii")


def evaluate_images(
    run: str | list[str],
    data: str,
    ways: list[int] | None = None,
    shots: list[int] | None = None,
    queries: int = 15,
    episodes: int = 600,
    seeds: int = 3,
    tower: Tower = "rgb",
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> ImageFewShotResult:
    """Few-shot classification of images with a run's image tower, the untrained tower and raw pixels.

    An episode draws classes and a few pictures of each to learn from, then asks for others. The tower is
    frozen; its features (before the projection head) go into a logistic regression. Ctrl-C keeps finished
    seeds; the same command goes on.

    Args:
        run: a finished run of crosspoint, crossnet or adacrossnet; several that differ in their seed are
            measured together.
        data: a folder of images: <class>/*.png, <split>/<class>/*, or the pickles of CIFAR-FS or CIFAR-100.
            With splits, episodes come from test.
        ways: classes per episode; 5 by default.
        shots: labeled images per class; 1 and 5 by default.
        queries: test images per class.
        episodes: episodes per seed.
        seeds: repetitions, each with its own episodes and untrained tower.
        tower: which of the run's image towers.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/images.json` in the (first) run.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such run, one without this tower, no such pictures, a number out of its range.
    """
    check_output(output, overwrite)
    found = find_encoders(run)
    loaded = [_tower(item.run, item.name, tower) for item in found]
    kinds = {(_described(network), network.dim, side) for network, side in loaded}
    if len(kinds) > 1:
        raise UserError(f"{run} are runs with different image towers or picture sizes; expected one kind.")
    size = loaded[0][1]
    result = measure_images(
        [network for network, _ in loaded],
        read_image_set(data, size),
        size=size,
        ways=ways or [5],
        shots=shots or [1, 5],
        queries=queries,
        episodes=episodes,
        seeds=seeds,
        device=usual_device(device),
        names=[item.name for item in found],
        result=result_path(output, found[0].run, "images"),
    )
    save(result, output, found[0].run, "images")
    return result


def _tower(run: Path | None, name: str, tower: Tower) -> tuple[nn.Module, int]:
    """A run's image encoder, and the side of the pictures it was trained on."""
    wanted = "Give a run of crosspoint, crossnet or adacrossnet."
    if run is None:
        raise UserError(f"{name} is a point encoder alone; image towers are kept in runs. {wanted}")
    method, config = load_method(run)
    if not isinstance(method, CrossModal):
        raise UserError(f"{run} was pre-trained with {config.method}, which has no image tower. {wanted}")
    towers = method.towers.items()
    networks = {kind: each.encoder for kind, each in towers if isinstance(each, ImageTower)}
    if tower not in networks:
        raise UserError(
            f"{run} ({config.method}) has no {tower} tower, only {' and '.join(networks)}; see --tower."
        )
    return networks[tower], method.image_size
