"""Pre-training: from a collection and options to a run."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.collection.prepare import prepare
from adacross.data.formats import BUILTIN
from adacross.data.fresh import FreshShapes
from adacross.distributed.group import ProcessGroup
from adacross.encoders.inputs import InputSpec
from adacross.errors import UserError
from adacross.io.files import locked, strangers, write_json
from adacross.losses.weighting import weighting_class
from adacross.methods import method_class
from adacross.plugins import find
from adacross.training.as_released import BestOnTest
from adacross.training.checkpoint import (
    check_identity,
    checkpoints,
    identity_of,
    is_run,
    load_checkpoint,
    newest_checkpoint,
    remove_checkpoints,
    remove_run,
    rollback,
)
from adacross.training.config import BUILTIN_COLLECTION, PretrainConfig
from adacross.training.environment import environment
from adacross.training.loader import BatchLoader, FreshLoader
from adacross.training.loop import Callback, Training
from adacross.training.monitor import Monitor, split_validation
from adacross.training.networks import new_method, on_device, save_method, warm_start
from adacross.training.optim import make_optimizer
from adacross.training.trackers import Tracker

BUILTIN_COUNT = 1000  # shapes that `pretrain builtin` prepares


def _data(config: PretrainConfig, group: ProcessGroup) -> tuple[BatchLoader, Monitor]:
    """Split the collection's training shapes between training and monitor; check them against the options."""
    collection = _collection(config, group)
    info = collection.info
    train, validation = split_validation(collection.indices("train"), config.validation_fraction, config.seed)
    if config.batch_size * config.accumulate > (config.fresh or len(train)):
        times = f" times accumulate {config.accumulate}" if config.accumulate > 1 else ""
        held, cure = f"fresh is {config.fresh}", "a larger --fresh"
        if not config.fresh:
            split = (
                f"{info.splits.get('train', 0)} in its training split, {len(validation)} kept for the monitor"
            )
            held = f"{config.collection} has {len(train)} shapes to train on ({split})"
            cure = "prepare more shapes"
        raise UserError(
            f"batch_size is {config.batch_size}{times}, but {held}. Give a smaller --batch-size, or {cure}."
        )
    if config.batch_size < 2 * group.count:
        raise UserError(
            f"batch_size is {config.batch_size}, the whole batch of {group.count} processes; each needs at "
            f"least 2 shapes. Give --batch-size {2 * group.count} or more, or start fewer processes."
        )
    if config.points is not None and config.points > info.points:
        raise UserError(
            f"points is {config.points}, but {config.collection} stores {info.points} a shape. "
            f"Give --points {info.points} or less, or prepare it with more."
        )
    points = min(config.points or 1024, info.points)
    monitor = Monitor(collection, train, validation, points, group.device)
    uses_images, share = method_class(config.method).uses_images, group.share(config.batch_size)
    if config.fresh:
        shapes = FreshShapes(config.seed, info.points, config.image_size if uses_images else 0)
        workers = max(1, (os.cpu_count() or 1) // (2 * group.count))
        drawn = (shapes, config.fresh, config.batch_size, share, config.accumulate, workers)
        return FreshLoader(collection, *drawn), monitor
    limit = round(config.image_cache * 1e9 / group.count)
    images = DecodedViews(collection, config.run_folder, limit) if uses_images else None
    stored = (train, config.batch_size, config.seed, images, share, config.accumulate)
    return BatchLoader(collection, *stored), monitor


def _collection(config: PretrainConfig, group: ProcessGroup) -> Collection:
    """Open the collection; the built-in shapes are prepared first if they are asked for and not there."""
    if config.collection == BUILTIN_COLLECTION and group.first and not Path(config.collection).exists():
        prepare(BUILTIN, config.collection, count=BUILTIN_COUNT)
    group.from_first(None)  # the others wait
    return Collection.open(config.collection)


def _resumes(config: PretrainConfig, run: Path) -> bool:
    return config.resume != "no" and (config.resume != "auto" or bool(checkpoints(run)))


def _starting_state(config: PretrainConfig, run: Path) -> dict[str, Any] | None:
    """Return the checkpoint to continue from, or None to begin at the beginning, in a cleared folder."""
    if not is_run(run) and strangers(run):
        raise UserError(
            f"{run} holds files and is not a run: it has no config.yaml that adacross pretrain wrote. Give a "
            "new or empty folder as --run."
        )
    if _resumes(config, run):
        config.must_match(PretrainConfig.load(run).compared())
        return newest_checkpoint(run) if config.resume == "auto" else load_checkpoint(Path(config.resume))
    if config.overwrite:
        remove_run(run)
    elif is_run(run) and config.resume == "no":
        raise UserError(
            f"{run} already holds a run. Continue it with --resume auto, replace it with "
            "--overwrite, or give another --run."
        )
    elif (run / "encoder").exists():
        raise UserError(
            f"{run} holds a finished run without checkpoints, so there is nothing to resume. Replace it with "
            "--overwrite, or give another --run."
        )
    return None


def pretrain(config: PretrainConfig, callbacks: Sequence[Callback] = ()) -> Path:
    """Pre-train an encoder on a collection, and return the run folder; the last step's networks count.

    `callbacks` are called after those that the options name. Reads the collection's training split only (but
    for `selection: released`, which says so). Writes into the run folder: `config.yaml`, `environment.json`,
    `log.jsonl` and `log.csv`, `checkpoints/`, `encoder/` and `method.safetensors`.

    Started by torchrun or accelerate as several processes, on one machine or many, they train one encoder
    together, and only the first of them reads and writes the run folder (docs/scaling.md).

    Raises:
        UserError: options that do not fit the collection or the run folder, a loss that is not finite, a disk
            that is full.
        Interrupted: stopped by Ctrl-C or SIGTERM; a checkpoint has been saved.
        SystemExit: this is one of several processes, and another has said why they stop.
    """
    group = ProcessGroup.start(config.device)
    with group.one_message(), ExitStack() as held:
        return _train(config, callbacks, group, held)


def _train(
    config: PretrainConfig, callbacks: Sequence[Callback], group: ProcessGroup, held: ExitStack
) -> Path:
    """Train as `pretrain` does; `held` keeps the run's lock until training has ended."""
    run = config.run_folder
    config = replace(config, run=str(run))
    loader, monitor = _data(config, group)
    if unused := config.without_effect():
        console.print(f"without effect on {config.method}: {', '.join(unused)}.", style="yellow")
    method = on_device(new_method(config), group.device)
    up = "any" if config.orientation == "any" else InputSpec.up
    method.encoder.inputs = InputSpec(up, points=config.points or loader.collection.info.points)
    if config.init and group.first and not _resumes(config, run):
        warm_start(method.encoder, config.init)
    optimizer = make_optimizer(config.optimizer, method, config.learning_rate, config.weight_decay)
    weighting = weighting_class(config.weighting_name)(**config.weighting_args)
    called = [find("callback", name, {}, Callback)() for name in config.callbacks]
    called += [Tracker(config.track)] if config.track else []
    training = Training(
        config, run, group, method, optimizer, weighting, loader, monitor, [*called, *callbacks]
    )
    if config.selection == "released":
        training.best = BestOnTest(loader.collection, monitor.points, group.device, run)
        told = "selection released: the TEST split chooses the epoch; its accuracy is no estimate."
        console.print(told, style="yellow")
    if group.first:
        held.enter_context(locked(run, "pretrain", inside=True))
        state = _starting_state(config, run)  # may clear the run folder: after everything that can be refused
        training.identity = identity_of(run, config, loader.collection, state)
        if state is not None:
            check_identity(state, training.identity, config)
            training.restore(state)
        rollback(run, training.step)
        config.save(run)
        about = environment(group.device) | {"processes": group.count, "run": training.identity["run"]}
        write_json(run / "environment.json", about)
    state = group.from_first(training.state())
    if not group.first:
        training.restore(state)
    try:
        training.fit()
        if group.first:
            try:
                save_method(method, run)
            except UserError as error:
                kept = "The last checkpoint is kept: continue with --resume auto."
                raise UserError(f"{error} {kept}") from error
            remove_checkpoints(run, config.keep_checkpoints or 1)  # the others were for an interruption
    finally:
        training.call("end")
    console.print(f"the encoder is in {run / 'encoder'}", soft_wrap=True)
    return run
