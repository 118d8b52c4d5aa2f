"""Up to a hub and down again, as a user types it; and what is said when the hub does not do as it should."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from fake_hub import Repository, serving
from waiting import HANGS

from adacross import PointNet, UserError, embed, fetch, load, read_embeddings
from adacross.data.collection.collection import Collection
from adacross.hub.share import share
from adacross.io import hub

CHILD = Path(__file__).with_name("hub_child.py")


def typed(url: str, home: Path, commands: list[list[str]]) -> list[dict]:
    """The exit code and errors of each command, typed where the hub is at `url`."""
    environment = os.environ | {
        "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(CHILD), json.dumps(commands)],
        env=environment, capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_up_and_down(toy_collection, run, tmp_path):
    parts, encoder = str(tmp_path / "parts"), str(run)
    shutil.copytree(toy_collection.folder, parts)  # features are cached in it
    with serving() as fake:
        stale = {"data/train-00009-of-00010.parquet": b"old", "notes.txt": b"mine"}
        fake.repositories["datasets/owner/parts"] = Repository(files=dict(stale))
        fake.repositories["models/owner/public"] = Repository()
        answers = typed(
            fake.url,
            tmp_path / "home",
            [
                ["share", parts, "owner/parts"],
                ["fetch", "hf://owner/parts", str(tmp_path / "back")],
                ["share", encoder, "hf://owner/encoder", "--private", "--license", "mit"],
                ["embed", "hf://owner/encoder", parts, str(tmp_path / "hub.parquet")],
                ["share", encoder, "owner/public", "--private"],
                ["fetch", "owner/none", str(tmp_path / "none")],
                ["HF_TOKEN=bad", "fetch", "owner/other", str(tmp_path / "none")],
                ["HF_TOKEN=bad", "share", encoder, "owner/encoder"],
            ],
        )
    assert [answer["code"] for answer in answers] == [0, 0, 0, 0, 2, 2, 2, 2], answers
    files = fake.repositories["datasets/owner/parts"].files
    assert sorted(files) == [
        "README.md", "collection.json", "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet", "notes.txt", "shards.json",
    ]  # fmt: skip
    back = Collection.open(tmp_path / "back")
    every = np.arange(len(toy_collection))
    assert back.ids == toy_collection.ids
    assert np.array_equal(back.points(every), toy_collection.points(every))
    assert np.array_equal(back.part_labels(every), toy_collection.part_labels(every))
    assert fake.repositories["models/owner/encoder"].private
    sha = fake.repositories["models/owner/encoder"].sha
    assert b"license: mit" in fake.repositories["models/owner/encoder"].files["README.md"]
    embed(encoder, parts, str(tmp_path / "here.parquet"))
    here, there = (read_embeddings(tmp_path / name) for name in ("here.parquet", "hub.parquet"))
    assert np.array_equal(here.features, there.features)
    assert f"hf://owner/encoder of the Hugging Face hub, revision {sha}" in " ".join(
        answers[3]["errors"].split()
    )
    assert "is public; nothing was uploaded" in answers[4]["errors"]
    assert not fake.repositories["models/owner/public"].files
    assert "did not give owner/none (no such repository" in answers[5]["errors"]
    for answer in answers[-2:]:
        assert_one_sentence(answer, "hf auth login")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_no_hub(run, tmp_path, closed_port):
    commands = [
        ["share", str(run), "owner/encoder"],
        ["fetch", "owner/parts", str(tmp_path / "back")],
    ]
    for answer in typed(f"http://127.0.0.1:{closed_port}", tmp_path / "home", commands):
        assert_one_sentence(answer, "network")
    assert not (tmp_path / "back").exists()


def assert_one_sentence(answer: dict, word: str) -> None:
    assert answer["code"] == 2
    assert len(answer["errors"].strip().splitlines()) == 1, answer
    assert "Hugging Face hub" in answer["errors"]
    assert word in answer["errors"]


def test_nobody_is_logged_in(run, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match=r"not logged in.*hf auth login"):
        share(str(run), "owner/encoder")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"No space left on device\). Free some space"),
        (RuntimeError("first line\nsecond line"), r"\(first line\). Check the name, or the network."),
        (ValueError(""), r"\(ValueError\)"),
    ],
)
def test_downloads_that_fail(error, message, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=rf"the Hugging Face hub did not give owner/parts .*{message}"):
        fetch("owner/parts", str(tmp_path / "back"))
    with pytest.raises(UserError, match=rf"the Hugging Face hub did not give owner/parts .*{message}"):
        load("hf://owner/parts")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set|Free some space"):
        fetch("owner/parts", str(tmp_path / "back"))


def test_fetching_what_is_no_name(tmp_path):
    with pytest.raises(UserError, match="nowhere is neither a folder nor a name on the hub"):
        fetch("nowhere", str(tmp_path / "back"))


def test_push_to_hub(monkeypatch):
    uploaded = {}

    def upload(folder, name, kind, *, private):
        uploaded[name] = (kind, private, {file.name: file.read_bytes() for file in folder.iterdir()})

    monkeypatch.setattr("adacross.encoders.base.upload", upload)
    PointNet(width=8).push_to_hub("owner/a")
    PointNet(width=8).push_to_hub("owner/b", private=True, card="# mine\n")
    assert uploaded["owner/a"][:2] == ("model", False)
    assert sorted(uploaded["owner/a"][2]) == ["config.json", "model.safetensors"]
    assert uploaded["owner/b"][1]
    assert uploaded["owner/b"][2]["README.md"] == b"# mine\n"
    with pytest.raises(UserError, match="expected owner/name"):
        PointNet(width=8).push_to_hub("mine")


def test_names_of_the_hub():
    assert all(hub.is_hub_id(name) for name in ("a/b", "owner/my-model_1.0", "0x/y"))
    assert not any(hub.is_hub_id(name) for name in ("a", "a/b/c", "a/b.git", "a/..", "./a", "a/b\n", "ä/b"))
