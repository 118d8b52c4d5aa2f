"""The command line as a user types it."""

import errno
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import docstring_parser
import pytest
import yaml

import adacross
from adacross import __version__
from adacross.arguments import Parser
from adacross.cli import main
from adacross.commands import COMMANDS, Command
from adacross.data.collection.collection import Collection
from adacross.evaluation import PROTOCOLS, find_protocol
from adacross.evaluation.result import load as load_result
from adacross.recipes import recipes
from adacross.training.config import PretrainConfig
from adacross.training.log import Log, read_log
from adacross.version import kernels


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_and_version(capsys: pytest.CaptureFixture[str]):
    code, out, _ = typed(capsys, "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    assert typed(capsys)[:2] == (code, out)
    assert typed(capsys, "--version")[1].strip() == f"adacross {__version__}, {kernels()}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str], name: str):
    code, out, _ = typed(capsys, *name.split(), "--help")
    assert code == 0
    assert "examples:" in out
    assert f"adacross {name}" in out


def test_a_familys_tasks(capsys: pytest.CaptureFixture[str]):
    tasks = [name.split()[1] for name in COMMANDS if name.startswith("evaluate ")]
    code, out, _ = typed(capsys, "evaluate", "--help")
    assert code == 0
    assert all(f"\n  evaluate {task} " in out for task in tasks)
    assert "prepare" not in out
    for words in (["evaluate", "-h"], ["help", "evaluate"], ["evaluate", "--help", "linear"]):
        assert typed(capsys, *words)[:2] == (0, out)
    assert typed(capsys, "evaluate")[:2] == (0, out)
    code, out, _ = typed(capsys, "help", "evaluate", "linear")
    assert code == 0
    assert out == typed(capsys, "evaluate", "linear", "--help")[1]
    assert typed(capsys, "help")[:2] == typed(capsys, "--help")[:2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("help evalute", "Did you mean 'evaluate'?"),
        ("help evaluate liner", "Did you mean 'linear'?"),
        ("evaluate liner --help", "Did you mean 'linear'?"),
        ("pretrain x --epochs many", "--epochs: expected a whole number, not 'many'."),
        ("pretrain x --epochs 1e9", "--epochs: expected a whole number, not '1e9'."),
        ("pretrain x --validation-fraction nan", "--validation-fraction: expected a number, not 'nan'."),
        ("pretrain x --validation_fraction a", "--validation_fraction: expected a number, not 'a'."),
        ("pretrain x --device gpu", "--device: expected 'auto', 'cpu' or 'cuda', not 'gpu'."),
        ("pretrain x --track sqlite", "--track: expected 'tensorboard', 'wandb' or 'mlflow', not 'sqlite'."),
        (
            "pretrain x --encoder-args {a",
            "--encoder-args: expected names with values, such as k=20, not '{a'.",
        ),
        ("pretrain x --encoder-args k", "such as k=20, not 'k'."),
        ("embed a b c --up q", "--up: expected 'x', 'y', 'z' or 'by-format', not 'q'."),
        ("evaluate few-shot a b --ways 5 x", "--ways: expected a whole number, not 'x'."),
        ("evaluate few-shot a b --ways [5]", "--ways: expected a whole number, not '[5]'."),
        ("evaluate few-shot --ways 5 a b", "--ways: expected a whole number, not 'a'."),
        ("evaluate fine-tune a b --fractions x", "--fractions: expected a number, not 'x'."),
        ("evaluate linear a b --as foo", "--as: expected 'crosspoint', 'crossnet', 'adacrossnet'"),
        ("inspect", "the following arguments are required: PATH."),
        ("evaluate compare a", "the following arguments are required: DATA."),
        ("suggest a b c d", "unknown argument 'd'."),
        ("pretrain x --epoch-count 3", "unknown option '--epoch-count'. Did you mean --epochs?"),
        ("pretrain x --epoch 3", "Did you mean --epochs?"),
        ("demo --seeds", "--seeds: expected one argument."),
        ("search a b --classes", "--classes: expected at least one argument."),
        ("search a b --no-browser maybe", "unknown argument 'maybe'"),
        ("search a b --no-browser=maybe", "--no-browser: ignored explicit argument 'maybe'."),
    ],
)
def test_an_argument_that_cannot_be_read_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: str, message: str
):
    code, _, err = typed(capsys, *words.split())
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.rstrip().endswith(" --help") or "help" in words
    for python in ("<class", "NoneType", "typing", "Union", "usage:", "None"):
        assert python not in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrian"], "Did you mean 'pretrain'"),
        (["evaluate", "liner"], "Did you mean 'linear'"),
        (["--nonsense"], "unknown command '--nonsense'"),
        (["prepare", "no/such/folder", "out"], "no/such/folder"),
        (["inspect", "no/such/folder"], "no/such/folder"),
        (["pretrain", "no/such/folder"], "no/such/folder does not exist"),
        (["pretrain", "x", "--method", "mocov3"], "unknown method 'mocov3'. Valid: adacrossnet"),
        (["pretrain", "x", "--encoder", "transformer"], "Valid: pointnet, dgcnn"),
        (["pretrain", "x", "--config", "nosuch"], "unknown recipe 'nosuch'"),
        (["pretrain", "x", "--epochs", "many"], "epochs"),
        (["pretrain", "x", "--epoch-count", "3"], "epoch"),
        (["pretrain"], "COLLECTION"),
        (["pretrain", "x", "--optimizer", "adamm"], "optimizer"),
        (["pretrain", "x", "--selection", "best"], "selection"),
        (["pretrain", "x", "--method_args", "warm"], "method_args"),
        (["pretrain", "x", "--method-args", "tau=1"], "method adacrossnet 'tau'. Valid: variant, temper"),
        (
            ["pretrain", "x", "--method_args", '{"tau": 1}'],
            "method adacrossnet 'tau'. Valid: variant, temper",
        ),
        (["pretrain", "x", "--method-args", '{"negativs": "all"}'], "Did you mean 'negatives'?"),
        (["pretrain", "x", "--method_args", '{"temperature": "warm"}'], "is 'warm'; expected a number"),
        (["pretrain", "x", "--method_args", '{"variant": "colour"}'], "expected 'con', 'joint', 'color' or"),
        (["pretrain", "x", "--weighting_args", '{"alfa": 5}'], "Did you mean 'alpha'? Valid: alpha, beta."),
        (["pretrain", "x", "--weighting_args", '{"beta": [1]}'], "beta of weighting adacrossnet is [1]"),
        (["pretrain", "x", "--weighting", "dwa", "--weighting_args", '{"period": 0}'], "period 0"),
        (["pretrain", "x", "--encoder_args", '{"k": "many"}'], "k of encoder dgcnn is 'many'"),
        (["evaluate", "linear", "no/such/run", "no/such/data"], "no/such/run"),
        (["evaluate", "linear", "no/such/run*", "data"], "nothing matches"),
        (["evaluate", "retrieval", "no/such/run", "no/such/data"], "no/such/run"),
        (["report", "no/such/run"], "no/such/run"),
        (["demo", "--seeds", "0"], "seeds is 0"),
    ],
    ids=" ".join,
)
def test_a_users_mistake_is_one_clear_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    code, _, err = typed(capsys, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_disk_that_fails_is_one_line(
    capsys: pytest.CaptureFixture[str],
    toy_collection: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    def full(self: Log, record: dict[str, object]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self.path))

    monkeypatch.setattr(Log, "write", full)
    words = [
        str(toy_collection.folder),
        "--run",
        str(tmp_path / "run"),
        "--device",
        "cpu",
        "--batch-size",
        "16",
    ]
    small = ["--encoder", "pointnet", "--image-size", "32"]
    small += ["--image-encoder", "resnet18", "--image-encoder-args", "width=8"]
    code, _, err = typed(capsys, "pretrain", *words, *small)
    assert code == 2
    assert "log.jsonl: No space left on device" in err


def test_a_recipe_with_an_unknown_key_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: 3\nlearning_rte: 0.1\n")
    code, _, err = typed(capsys, "pretrain", "x", "--config", str(recipe))
    assert code == 2
    assert "learning_rte" in err


@pytest.mark.slow
def test_pretrain_evaluate_report_as_typed(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, tmp_path: Path
):
    """A recipe by name, flags over it with dashes, then the run is measured and reported."""
    data = str(shutil.copytree(toy_collection.folder, tmp_path / "toy"))
    run = str(tmp_path / "run")
    small = ["--epochs", "1", "--batch-size", "8", "--points=48", "--image-size", "32", "--device", "cpu"]
    width = ["--encoder-args", '{"width": 32}', "--image-encoder-args", "width=8"]
    code, out, err = typed(capsys, "pretrain", data, "--config", "demo", "--run", run, *small, *width)
    assert code == 0, err
    assert out.strip() == run
    assert f"next: adacross evaluate linear {run} {data}\n" in err
    assert f"  or: adacross search {run} {data}\n" in err
    code, out, err = typed(capsys, "evaluate", "linear", run, data, "--seeds", "2", "--folds", "3")
    assert code == 0, err
    assert "untrained" in out
    result = load_result(tmp_path / "run" / "evaluation" / "toy" / "linear-seeds-2-folds-3.json")
    assert len(result.score("pre-trained").outcomes) == 1
    assert len(result.score("untrained").outcomes) == 2
    code, out, err = typed(capsys, "evaluate", "retrieval", run, data)
    assert code == 0, err
    assert "recall@10" in out
    code, out, err = typed(capsys, "report", run)
    assert code == 0, err
    assert Path(out.strip()).name == "report.html"


@pytest.mark.slow
def test_options_of_method_and_weighting_as_typed(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, tmp_path: Path
):
    """JSON, with dashes or underscores in the flag; the first step's weight shows that alpha has arrived."""
    small = ["--encoder", "pointnet", "--image-size", "32"]
    small += ["--image-encoder", "resnet18", "--image-encoder-args", "width=8"]
    brief = ["--epochs", "1", "--batch-size", "16", "--device", "cpu", "--monitor_every", "0"]
    own = [
        "--method-args",
        '{"negatives": "released", "temperature": 0.4}',
        "--weighting_args",
        '{"alpha": 0.5}',
    ]
    run = tmp_path / "run"
    code, _, err = typed(
        capsys, "pretrain", str(toy_collection.folder), "--run", str(run), *small, *brief, *own
    )
    assert code == 0, err
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["method_args"] == {"negatives": "released", "temperature": 0.4}
    assert config["weighting_args"] == {"alpha": 0.5}
    first = read_log(run / "log.jsonl")[0]
    for name, loss in first["terms"].items():
        assert first["weights"][name] == pytest.approx(0.95 + 0.05 / (1 + math.exp(-0.5 * loss)))


@pytest.mark.slow
def test_the_released_behavior_is_had_by_the_command_that_the_documentation_gives(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, tmp_path: Path
):
    """As written in docs/methods.md, then made small."""
    text = (Path(__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    adacross (pretrain .*)\\\n(.*)$", text, re.MULTILINE)
    words = shlex.split(" ".join(line))
    words[1] = str(toy_collection.folder)
    own = ["--encoder_args", '{"k": 5, "width": 32}', "--image_encoder", "resnet18"]
    own += ["--image_encoder_args", '{"width": 8}']
    small = [
        "--image_size",
        "32",
        "--points",
        "32",
        "--epochs",
        "1",
        "--batch_size",
        "16",
        "--device",
        "cpu",
    ]
    run = tmp_path / "run"
    code, _, err = typed(capsys, *words, *own, *small, "--run", str(run))
    assert code == 0, err
    assert "the TEST split chooses" in re.sub(r"\s+", " ", err)
    records = read_log(run / "log.jsonl")
    assert len([record for record in records if record["kind"] == "step"]) == 132 // 16  # all of the split
    assert [record["lr"] for record in records[:3]] == pytest.approx(
        [1e-3, 0, 1e-3]
    )  # half a period is 1 step
    assert records[-1]["kind"] == "selection"
    assert yaml.safe_load((run / "config.yaml").read_text())["method_args"] == {"negatives": "released"}


@pytest.mark.slow
@pytest.mark.parametrize("given", ['{"temperature": "warm"}', '{"temperature": -1}'])
def test_a_wrong_option_of_a_method_is_one_line_from_the_real_program(
    toy_collection: Collection, tmp_path: Path, given: str
):
    """In a process of its own, where no type checker of the tests stands in front."""
    command = [sys.executable, "-m", "adacross", "pretrain", str(toy_collection.folder), "--device", "cpu"]
    command += [
        "--run",
        str(tmp_path / "run"),
        "--batch-size",
        "16",
        "--image-encoder",
        "resnet18",
        "--method_args",
    ]
    done = subprocess.run([*command, given], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("adacross: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_runs_own_configuration_is_a_recipe(
    capsys: pytest.CaptureFixture[str], toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    words = ["--config", str(toy_run / "config.yaml"), "--run", str(tmp_path / "copy"), "--epochs", "1"]
    code, _, err = typed(capsys, "pretrain", str(toy_collection.folder), *words)
    assert code == 0, err


def test_the_installed_command_and_the_module_are_the_same():
    for command in ([sys.executable, "-m", "adacross"], [str(Path(sys.executable).with_name("adacross"))]):
        done = subprocess.run([*command, "evalute"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "adacross: unknown command" in done.stderr


def test_what_is_typed_is_read_by_its_type():
    def command(
        encoders: list[str],
        data: str,
        *,
        ways: list[int] | None = None,
        episodes: int | str | None = None,
        depth: Literal[18, 50] = 50,
        encoder_args: dict[str, Any] | None = None,
        as_: Literal["a", "b"] | None = None,
        test_shapes: int = 3,
        full: bool = False,
        sync: bool = True,
    ) -> None: ...

    def read(line: str) -> dict[str, Any]:
        return Parser("try", command, "Try.").read(shlex.split(line))

    assert read("r d") == {"encoders": ["r"], "data": "d"}
    assert read("r s d --full --no-sync") == {
        "encoders": ["r", "s"],
        "data": "d",
        "full": True,
        "sync": False,
    }
    assert read("r d --ways 5 10 --as b")["ways"] == [5, 10]
    assert read("r d --ways 5 --ways 10 --as b")["ways"] == [5, 10]
    assert read("r --ways=5 --as=b s d")["encoders"] == ["r", "s"], "options may stand between"
    assert read("r d --as b")["as_"] == "b"
    assert read("r d --depth 18 --episodes 7")["depth"] == 18
    assert read("r d --episodes 7")["episodes"] == 7
    assert read("r d --episodes few.json")["episodes"] == "few.json"
    assert read("r d --test-shapes 4") == read("r d --test_shapes 4")
    given = read("""r d --encoder-args k=20 names='["a", "b"]' rate=1e-3 kind=plain on=true off=null""")
    assert given["encoder_args"] == {
        "k": 20, "names": ["a", "b"], "rate": 0.001, "kind": "plain", "on": True, "off": None
    }  # fmt: skip
    assert read("""r d --encoder-args '{"k": 20}' width=8""")["encoder_args"] == {"k": 20, "width": 8}
    text = Parser("try", command, "Try.").format_help()
    assert "usage: adacross try ENCODERS ... DATA [options]" in text
    assert "--test-shapes N" in text
    assert "--depth {18,50}" in text
    assert "--sync, --no-sync" in text
    assert "_" not in text.replace("encoder_args", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_without_python_and_has_a_line_for_each_option(capsys: pytest.CaptureFixture[str], name: str):
    text = typed(capsys, *name.split(), "--help")[1]
    for python in ("Literal", "Optional", "None", "Union", "List[", "list[", "<factory>", "default: {", "`"):
        assert python not in text
    options = re.findall(r"^  (--[^ ,]+)", text, re.MULTILINE)
    assert not [option for option in options if "_" in option]
    listed = re.split(r"\n  (?=[-A-Z])", text.split("\noptions:")[1])[1:]
    bare = [option for option in listed if not re.search(r"\S {2,}\S|\n {20,}\S", option)]
    assert not bare, "arguments without a description"


def test_what_several_commands_share_is_described_by_one_sentence():
    texts = defaultdict(set)
    for command in COMMANDS.values():
        module, _, attribute = command.function.partition(":")
        for one in docstring_parser.parse(getattr(import_module(module), attribute).__doc__).params:
            texts[one.arg_name].add(one.description)
    assert len(texts["device"]) == 1
    assert len(texts["overwrite"]) == 5  # an output file, several, a measurement, a collection, the report
    assert len(texts["encoder"]) == 3  # one, several, and the demo's


def test_recipes_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]):
    code, out, err = typed(capsys, "recipes")
    assert code == 0
    for recipe in recipes().recipes:
        assert recipe.name in out
        assert recipe.purpose.endswith(".")
        assert len(recipe.purpose) < 100
        PretrainConfig.recipe(recipe.name, "x")
    assert "under half an hour" in out
    assert "next: adacross pretrain COLLECTION --config" in err
    assert "adacross recipes" in typed(capsys, "pretrain", "--help")[1]


def test_the_encoder_comes_before_the_data(
    capsys: pytest.CaptureFixture[str], toy_run: Path, toy_collection: Collection
):
    data, run = str(toy_collection.folder), str(toy_run)
    first = f"adacross: {data} is a collection; the encoder comes first. Type: adacross"
    for name, more in (("search", "--query x.stl"), ("evaluate linear", "--seeds 2"), ("embed", "x.parquet")):
        code, _, err = typed(capsys, *name.split(), data, run, *more.split())
        assert code == 2
        assert err == f"{first} {name} {run} {data} {more}\n"
    code, _, err = typed(capsys, "evaluate", "compare", data, run, "builtin-small")
    assert err == f"{first} evaluate compare {run} builtin-small {data}\n"
    code, _, err = typed(capsys, "embed", "parts/", "builtin-small", "x.parquet")
    assert "builtin-small is an encoder; the encoder comes first." in err
    assert err.endswith("adacross embed builtin-small parts/ x.parquet\n")
    code, _, err = typed(capsys, "evaluate", "retrieval", data, data)
    assert err == (
        f"adacross: {data} is a collection, where an encoder is expected. "
        "See: adacross evaluate retrieval --help\n"
    )
    code, _, err = typed(capsys, "search", run, "builtin-small")
    assert "builtin-small is an encoder, where a collection is expected." in err
    code, _, err = typed(capsys, "export", data, "x.onnx")
    assert "is a collection; expected a run or an encoder" in err


def test_several_runs_stand_side_by_side_as_a_shell_writes_a_pattern(
    capsys: pytest.CaptureFixture[str], toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    output, run = tmp_path / "x.json", str(shutil.copytree(toy_run, tmp_path / "run"))
    small = ["--seeds", "2", "--C", "0.1", "--device", "cpu", "--output", str(output)]
    code, _, err = typed(capsys, "evaluate", "linear", run, run, str(toy_collection.folder), *small)
    assert code == 0, err
    assert len(json.loads(output.read_text())["encoders"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "following"),
    [
        (["inspect", "{data}", "--sheet", "{tmp}/s.png"], "pretrain {data} --config"),
        (["inspect", "{run}"], "report {run}"),
        (["embed", "{run}", "{data}", "{tmp}/a b.parquet"], "suggest '{tmp}/a b.parquet' labels.csv"),
        (["duplicates", "{data}", "--page", "{tmp}/c.html"], "search builtin-small {data}"),
        (["report", "{run}", "--output", "{tmp}/r.html"], "share {run} OWNER/NAME --dry-run"),
        (["share", "{run}", "me/x", "--dry-run", "{tmp}/look"], "share {run} me/x"),
        (["search", "{run}", "{data}", "--query", "{id}"], "search {run} {data}"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_ends_with_what_to_type_next(
    capsys: pytest.CaptureFixture[str],
    toy_run: Path,
    toy_collection: Collection,
    tmp_path: Path,
    words: list[str],
    following: str,
):
    run = shutil.copytree(toy_run, tmp_path / "run")
    places = {"run": run, "data": toy_collection.folder, "tmp": tmp_path, "id": toy_collection.ids[0]}
    code, out, err = typed(capsys, *(word.format(**places) for word in words))
    assert code == 0, err
    assert f"next: adacross {following.format(**places)}" in err
    assert "next: adacross" not in out


def test_a_commands_function_is_public_under_the_commands_name():
    rooms = {"demo", "recipes", "report", "search"}  # where a function's name is a room's
    options = {"pretrain"}  # the command's takes a dataclass, the public one its fields
    for name, command in COMMANDS.items():
        if name not in rooms | options:
            module, _, attribute = command.function.partition(":")
            task = {"duplicates": "find_duplicates"}.get(name, name.removeprefix("evaluate "))
            assert attribute == task.replace("-", "_")
            function = getattr(import_module(module), attribute)
            assert function is (find_protocol(task) if task in PROTOCOLS else getattr(adacross, attribute))


def test_every_command_has_a_next_one():
    assert [name for name, command in COMMANDS.items() if command.next is Command.next] == []


@pytest.mark.slow
def test_help_that_cannot_be_written_is_a_mistake_of_its_own():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    for words in ("--help", "report --help", "evaluate", "--version", "recipes"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "adacross", *words.split()],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 2, words
        assert done.stderr == "adacross: cannot read or write: No space left on device.\n"


def test_a_module_of_the_working_folder_is_importable_if_it_is_typed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    typed(capsys, "report", "no-such-run")
    assert str(tmp_path) not in sys.path
    typed(capsys, "pretrain", "x", "--encoder", "my_nets:Mine")
    assert str(tmp_path) in sys.path
