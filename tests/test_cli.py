"""The command line as a user types it."""

import errno
import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from adacross import __version__
from adacross.cli import COMMANDS, main
from adacross.data.collection.collection import Collection
from adacross.training.log import Log, read_log


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_and_version(capsys: pytest.CaptureFixture[str]):
    code, out, _ = typed(capsys, "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    assert typed(capsys)[:2] == (code, out)
    assert typed(capsys, "--version")[1].strip() == f"adacross {__version__}"


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
    code, _, err = typed(capsys, "evaluate")
    assert code == 2
    assert err.startswith("adacross: evaluate needs a task. Valid: linear, few-shot")
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
        ("pretrain x --epochs many", "--epochs is 'many'; expected a whole number."),
        ("pretrain x --validation-fraction a", "--validation_fraction is 'a'; expected a number."),
        ("pretrain x --device gpu", "--device is 'gpu'; expected 'auto', 'cpu' or 'cuda'."),
        ("pretrain x --encoder_args {a", """expected names with values, such as '{"k": 20}'."""),
        ("prepare a b --size 1e9", "--size is '1000000000.0'; expected a whole number."),
        ("embed a b c --up q", "--up is 'q'; expected 'x', 'y' or 'z'."),
        (
            "evaluate few-shot a b --ways 5",
            "--ways is '5'; expected a list of whole numbers, such as '[5, 10]'.",
        ),
        ("evaluate few-shot a b --ways [a]", "expected a list of whole numbers"),
        ("evaluate fine-tune a b --fractions x", "expected a list of numbers, such as '[0.1, 0.5]'."),
        ("search a b --classes chair", "expected a list of texts, such as '[chair, table]'."),
        ("evaluate linear a b --as foo", "--as is 'foo'; expected 'crosspoint', 'crossnet'"),
        ("inspect", "the argument path is missing."),
        ("suggest a b c d", "unknown argument 'd'."),
        ("pretrain x --epoch-count 3", "Did you mean --epochs?"),
        ("demo --seeds", "--seeds"),
        ("search a b --no-browser maybe", "unknown argument 'maybe'"),
    ],
)
def test_an_argument_that_cannot_be_read_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: str, message: str
):
    code, _, err = typed(capsys, *words.split())
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    for python in ("<class", "NoneType", "typing", "Union", "usage:", "None"):
        assert python not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrian"], "Did you mean 'pretrain'"),
        (["evaluate", "liner"], "Did you mean 'linear'"),
        (["evaluate"], "Valid: linear, few-shot, fine-tune"),
        (["--nonsense"], "unknown command '--nonsense'"),
        (["prepare", "no/such/folder", "out"], "no/such/folder"),
        (["inspect", "no/such/folder"], "no/such/folder"),
        (["pretrain", "no/such/folder"], "no/such/folder does not exist"),
        (["pretrain", "x", "--method", "mocov3"], "unknown method 'mocov3'. Valid: adacrossnet"),
        (["pretrain", "x", "--encoder", "transformer"], "Valid: pointnet, dgcnn"),
        (["pretrain", "x", "--config", "nosuch"], "unknown recipe 'nosuch'"),
        (["pretrain", "x", "--epochs", "many"], "epochs"),
        (["pretrain", "x", "--epoch-count", "3"], "epoch"),
        (["pretrain"], "collection"),
        (["pretrain", "x", "--optimizer", "adamm"], "optimizer"),
        (["pretrain", "x", "--selection", "best"], "selection"),
        (["pretrain", "x", "--method_args", "warm"], "method_args"),
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
    small = ["--encoder", "pointnet", "--image-width", "8", "--image-size", "32", "--image-depth", "18"]
    code, _, err = typed(capsys, "pretrain", *words, *small)
    assert code == 2
    assert "log.jsonl: No space left on device" in err


def test_a_recipe_with_an_unknown_key_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: 3\nlearning_rte: 0.1\n")
    code, _, err = typed(capsys, "pretrain", "x", "--config", str(recipe))
    assert code == 2
    assert "learning_rte" in err


def test_pretrain_evaluate_report_as_typed(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, tmp_path: Path
):
    """A recipe by name, flags over it with dashes, then the run is measured and reported."""
    data, run = str(toy_collection.folder), str(tmp_path / "run")
    small = ["--epochs", "1", "--batch-size", "8", "--points=48", "--image-size", "32", "--device", "cpu"]
    width = ["--encoder-args", '{"width": 32}', "--image-width", "8"]
    code, out, err = typed(capsys, "pretrain", data, "--config", "demo", "--run", run, *small, *width)
    assert code == 0, err
    assert out.strip() == run
    code, out, err = typed(capsys, "evaluate", "linear", run, data, "--seeds", "2", "--folds", "3")
    assert code == 0, err
    assert "untrained" in out
    result = json.loads((tmp_path / "run" / "evaluation" / "linear.json").read_text())
    assert len(result["pretrained"]["accuracy"]) == len(result["untrained"]["accuracy"]) == 2
    assert sum(map(sum, result["confusion"])) == result["test"]
    code, out, err = typed(capsys, "evaluate", "retrieval", run, data)
    assert code == 0, err
    assert "recall@10" in out
    code, out, err = typed(capsys, "report", run)
    assert code == 0, err
    assert Path(out.strip()).name == "report.html"


def test_options_of_method_and_weighting_as_typed(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, tmp_path: Path
):
    """JSON, with dashes or underscores in the flag; the first step's weight shows that alpha has arrived."""
    small = ["--encoder", "pointnet", "--image-width", "8", "--image-size", "32", "--image-depth", "18"]
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


def test_the_released_behaviour_is_had_by_the_command_that_the_documentation_gives(
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


@pytest.mark.parametrize("given", ['{"temperature": "warm"}', '{"temperature": -1}'])
def test_a_wrong_option_of_a_method_is_one_line_from_the_real_program(
    toy_collection: Collection, tmp_path: Path, given: str
):
    """In a process of its own, where no type checker of the tests stands in front."""
    command = [sys.executable, "-m", "adacross", "pretrain", str(toy_collection.folder), "--device", "cpu"]
    command += ["--run", str(tmp_path / "run"), "--batch-size", "16", "--image-depth", "18", "--method_args"]
    done = subprocess.run([*command, given], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("adacross: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


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


def test_a_switch_stands_alone_or_with_a_word():
    from adacross.cli import _spoken_out

    assert _spoken_out(["a", "--full"], ["full"]) == ["a", "--full", "true"]
    assert _spoken_out(["--full", "--seeds", "2"], ["full"]) == ["--full", "true", "--seeds", "2"]
    assert _spoken_out(["--full", "false", "--full=true"], ["full"]) == ["--full", "false", "--full=true"]
    assert _spoken_out([], ["full"]) == []
