"""The commands: a literal dictionary from what is typed behind `adacross` to a function."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adacross.errors import UserError, one_of
from adacross.plugins import is_plugin

Next = Callable[[Any, Any], Iterable[Sequence[object]]]
LAPTOP = "adacrossnet_pointnet_laptop"  # the recipe that is suggested first


@dataclass(frozen=True)
class Command:
    """A command: its function, what it is for, and how it is typed."""

    function: str  # `module:name`
    summary: str  # what `adacross --help` says
    examples: tuple[str, ...]  # command lines
    # the commands to type next, without `adacross`, from the command's arguments (attributes by the
    # parameter's name, or its dataclass of options) and its result
    next: Next = lambda given, result: ()


def _report(given: Any, result: object) -> Iterable[Sequence[object]]:
    """Suggest the report of the (first) run that was evaluated."""
    from adacross.features.sources import find_runs

    return [("report", run) for run in find_runs(next(iter(vars(given).values())))[:1]]


def _pretrain(given: Any, result: object) -> Iterable[Sequence[object]]:
    return ("pretrain", getattr(given, "collection", None) or given.folder, "--config", LAPTOP), ("recipes",)


def _after_inspect(given: Any, result: Any) -> Iterable[Sequence[object]]:
    """Suggest what a collection or a run is for; of other folders the tables say it."""
    return {
        "collection": (("pretrain", given.path, "--config", LAPTOP),),
        "run": (("report", given.path),),
    }.get(result.kind, ())


def _after_duplicates(given: Any, result: object) -> Iterable[Sequence[object]]:
    if not given.page:
        return (("duplicates", given.source, "--page", "copies.html"),)
    from adacross.features.sources import kind_of

    if kind_of(given.source) == "collection":
        return (("search", "builtin-small", given.source),)
    return (("prepare", given.source, "COLLECTION"),)


def _after_share(given: Any, result: Any) -> Iterable[Sequence[object]]:
    if result.url is None:
        return (("share", given.source, given.name),)
    if result.kind == "dataset":
        return (("fetch", given.name, "COLLECTION"),)
    return (("embed", f"hf://{given.name}", "DATA", "features.parquet"),)


def _evaluation(task: str, summary: str, *examples: str) -> dict[str, Command]:
    """Return the command of a task by its words; its module and its function have its name."""
    name, words = task.replace("-", "_"), f"evaluate {task}"
    lines = tuple(f"adacross {words} {example}" for example in examples)
    return {words: Command(f"adacross.evaluation.{name}:{name}", summary, lines, next=_report)}


COMMANDS = {
    "demo": Command(
        "adacross.demo:demo",
        "the whole pipeline on built-in shapes, in minutes on a laptop; writes report.html",
        ("adacross demo", "adacross demo --folder my-demo --seeds 3", "adacross demo --full"),
        next=lambda given, result: (("search", f"{given.folder}/run-seed0", f"{given.folder}/shapes"),),
    ),
    "prepare": Command(
        "adacross.data.collection.prepare:prepare",
        "meshes, clouds or built-in shapes -> a collection with images",
        (
            "adacross prepare parts/ collections/parts --up z",
            "adacross prepare modelnet40_ply_hdf5_2048/ collections/modelnet10 --variant modelnet10",
            "adacross prepare h5_files/ collections/scanobjectnn --variant pb_t50_rs --views 1",
            "adacross prepare crosspoint-data/ collections/shapenet --views 24 --size 137 --test-fraction 0",
            "adacross prepare builtin collections/builtin --count 3000 --variant scanned",
            "adacross prepare parts/ collections/parts --engine ray --ray-address auto",
        ),
        next=_pretrain,
    ),
    "duplicates": Command(
        "adacross.duplicates.find:find_duplicates",
        "groups of identical, rescaled, mirrored and nearly equal shapes, as a table, CSV and a page",
        (
            "adacross duplicates parts/",
            "adacross duplicates collections/parts --output copies.csv --page copies.html",
            "adacross duplicates new-parts/ --against vault/ --size off",
        ),
        next=_after_duplicates,
    ),
    "inspect": Command(
        "adacross.data.collection.inspect:inspect",
        "identify a folder, report problems, draw a contact sheet",
        ("adacross inspect collections/parts", "adacross inspect parts/"),
        next=_after_inspect,
    ),
    "pretrain": Command(
        "adacross.training.pretrain:pretrain",
        "collection -> a run with an encoder",
        (
            "adacross pretrain collections/parts --config adacrossnet_pointnet_laptop --epochs 50",
            "adacross pretrain collections/parts --encoder dgcnn --encoder-args k=15 width=64",
            "adacross pretrain builtin --fresh 20000 --config adacrossnet_pointnet_laptop",
            "adacross pretrain s3://bucket/parts --run runs/parts",
            "adacross pretrain collections/parts --config recipe.yaml --resume auto",
        ),
        next=lambda config, result: (
            ("evaluate", "linear", config.run_folder, config.collection),
            ("report", config.run_folder),
            ("search", config.run_folder, config.collection),
        ),
    ),
    **_evaluation(
        "linear",
        "linear SVM and nearest neighbors on frozen features, beside the untrained encoder",
        "runs/parts collections/parts",
        "runs/parts-seed* collections/parts",
        "runs/shapenet collections/modelnet40 --as crosspoint",
    ),
    **_evaluation(
        "few-shot",
        "few-shot classification over many episodes",
        "runs/parts collections/parts",
        "runs/parts collections/parts --ways 5 --shots 1 5",
        "runs/shapenet collections/modelnet40 --as point-m2ae",
    ),
    **_evaluation(
        "fine-tune",
        "fine-tuning with 1 %, 10 % and 100 % of the labels, beside training from scratch",
        "runs/parts collections/parts",
        "runs/parts collections/parts --fractions 1.0 --votes 10",
        "runs/shapenet collections/modelnet40 --as adacrossnet",
    ),
    **_evaluation(
        "part-seg",
        "part segmentation: instance and class mIoU, beside training from scratch",
        "runs/shapenet collections/shapenetpart",
        "runs/parts collections/parts --fractions 0.1 1.0 --epochs 20",
    ),
    **_evaluation(
        "sem-seg",
        "semantic segmentation of rooms: overall accuracy and mIoU by held-out area",
        "runs/shapenet collections/s3dis",
        "runs/shapenet collections/s3dis --areas 1 2 3 4 5 6",
    ),
    **_evaluation(
        "retrieval",
        "image to shape, shape to image, shape to shape: recall@k, mAP",
        "runs/parts collections/parts",
        "runs/parts/encoder collections/parts --output retrieval.json",
    ),
    **_evaluation(
        "robustness",
        "accuracy under 15 corruptions at 5 severities, any rotation, and fewer points",
        "runs/parts collections/parts",
    ),
    **_evaluation(
        "images",
        "few-shot classification of images with the pre-trained image tower",
        "runs/parts CIFAR-FS/",
    ),
    **_evaluation(
        "compare",
        "several encoders on the same test shapes: one table with intervals and p-values",
        "runs/crosspoint runs/adacrossnet collections/parts",
        "runs/a runs/b collections/parts --task few-shot --output a-and-b.json",
    ),
    **_evaluation(
        "efficiency",
        "steps, core-seconds and shapes until runs reach an accuracy; how steady their loss is",
        "runs/crosspoint runs/adacrossnet",
        "'runs/static-seed*' 'runs/adaptive-seed*' --reach 0.4 0.5",
    ),
    "search": Command(
        "adacross.search.search:search",
        "shapes like an image, a mesh or a cloud: a page in the browser, or a table",
        (
            "adacross search runs/parts collections/parts",
            "adacross search runs/parts collections/parts --query photo.png --top 10",
            "adacross search runs/parts collections/parts --query bracket.stl --up z --output found.html",
            "adacross search runs/parts collections/parts --query new/ --output matches.csv",
            "adacross search runs/parts collections/parts --serve --host 0.0.0.0",
        ),
        next=lambda given, result: (("search", given.encoder, given.collection),) if given.query else (),
    ),
    "embed": Command(
        "adacross.embeddings.embed:embed",
        "features, ids and classes of many shapes -> a table, Parquet or CSV",
        (
            "adacross embed runs/parts collections/parts parts.parquet",
            "adacross embed runs/parts incoming/ incoming.parquet --up z",
            "find . -name '*.stl' | adacross embed runs/parts - found.parquet",
            "adacross embed runs/parts collections/parts parts.csv --columns path size map cluster",
            "adacross embed runs/parts /mnt/vault vault.parquet --engine ray --ray-address auto",
        ),
        next=lambda given, result: (
            ()
            if given.output.endswith(".csv")
            else (("suggest", given.output, "labels.csv", "suggested.csv"),)
        ),
    ),
    "suggest": Command(
        "adacross.labeling.suggest:suggest",
        "a few labels -> proposed labels with confidence, and what to label next",
        (
            "adacross suggest parts.parquet labels.csv suggested.csv",
            "adacross suggest parts.parquet suggested.csv again.csv --ask 50",
        ),
        next=lambda given, result: (("suggest", given.embeddings, given.output, "again.csv"),),
    ),
    "export": Command(
        "adacross.onnx.to_onnx:export",
        "an encoder -> a checked ONNX file that runs without torch",
        (
            "adacross export runs/parts parts.onnx",
            "adacross export hf://owner/name model.onnx --point-features",
        ),
        next=lambda given, result: (("share", given.encoder, "OWNER/NAME", "--dry-run", "look"),),
    ),
    "share": Command(
        "adacross.hub.share:share",
        "an encoder with a card made from its run, or a collection as Parquet -> the Hugging Face hub",
        (
            "adacross share runs/parts owner/parts-encoder --dry-run look",
            "adacross share runs/parts owner/parts-encoder --license apache-2.0",
            "adacross share collections/parts owner/parts --private",
        ),
        next=_after_share,
    ),
    "fetch": Command(
        "adacross.hub.share:fetch",
        "a shared collection -> a collection here",
        ("adacross fetch owner/parts collections/parts", "adacross fetch look collections/parts"),
        next=_pretrain,
    ),
    "recipes": Command(
        "adacross.recipes:recipes",
        "built-in options for `pretrain --config`: what each is for",
        ("adacross recipes",),
        next=lambda given, result: (("pretrain", "COLLECTION", "--config", LAPTOP),),
    ),
    "report": Command(
        "adacross.report:write_report",
        "a run -> one self-contained HTML page",
        ("adacross report runs/parts",),
        next=lambda given, result: (("share", given.run, "OWNER/NAME", "--dry-run", "look"),),
    ),
}


def encoder_first(name: str) -> bool:
    """Return whether a command takes an encoder, then data."""
    return name.startswith("evaluate ") or name in ("search", "embed")


def command_named(name: str) -> Command:
    """Return a command by its words; `evaluate package.module:name` is a protocol of somebody else's."""
    if name in COMMANDS:
        return COMMANDS[name]
    return Command(name.removeprefix("evaluate "), "", (f"adacross {name} RUN COLLECTION",), next=_report)


def overview(family: str = "") -> str:
    """The text of `adacross --help`, or of `adacross evaluate --help` with `family` "evaluate"."""
    shown = {name: command for name, command in COMMANDS.items() if name.startswith(family)}
    width = max(map(len, shown))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in shown.items()]
    about = "A folder of unlabeled 3-D shapes in, an encoder that understands them out."
    if family:
        about = f"The tasks of adacross {family}:"
    name = f"{family} TASK" if family else "COMMAND"
    version = "" if family else "; adacross --version prints the version"
    end = f"adacross {name} --help lists its options{version}."
    return "\n".join([f"usage: adacross {name} ...", "", about, "", *lines, "", end])


def split_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Separate the command's words from its arguments."""
    words = [word for word in arguments[:2] if not word.startswith("-")]
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, list(arguments[len(name.split()) :])
    first = words[0] if words else arguments[0]
    if words[0:1] == ["evaluate"] and len(words) == 2 and is_plugin(words[1]):
        return " ".join(words), list(arguments[2:])
    if known := tasks(first):
        if len(words) < 2:
            raise UserError(f"{first} needs a task. Valid: {', '.join(known)}. See: adacross {first} --help")
        one_of(f"{first} task", words[1], known)
    families = [name.split()[0] for name in COMMANDS]
    one_of("command", first, dict.fromkeys([*COMMANDS, *families]))
    raise UserError(f"unknown command {first!r}.")


def tasks(family: str) -> list[str]:
    """The second words of the commands that begin with `family`."""
    return [name.split()[1] for name in COMMANDS if name.startswith(f"{family} ")]
