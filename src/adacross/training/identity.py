"""The identity of a run, which its checkpoints carry and a resumption compares."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.io.files import read_json
from adacross.training.config import PretrainConfig


@dataclass(frozen=True)
class Identity:
    """Run, options and data that a checkpoint belongs to.

    Attributes:
        run: a random name, which is in `environment.json`, too.
        config: the run's options.
        data: `Collection.digest`.
    """

    run: str
    config: PretrainConfig
    data: str

    @classmethod
    def of(
        cls,
        folder: Path,
        config: PretrainConfig,
        collection: Collection,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> "Identity":
        """Return the identity of the run in `folder`, or a new one if there is none yet.

        Args:
            folder: of the run.
            config: its options.
            collection: what it trains on.
            checkpoint: the one to continue from. It names the run where `environment.json` is lost.
        """
        path = folder / "environment.json"
        try:
            kept = read_json(path, "a run's environment")
        except UserError:
            kept = None
        if not isinstance(kept, dict):
            kept = (checkpoint or {}).get("identity")
            if kept:
                console.print(f"{path} is lost; the checkpoint says which run this is.", style="yellow")
        run = kept.get("run") if isinstance(kept, dict) else None
        return cls(run if isinstance(run, str) else secrets.token_hex(8), config, collection.digest())

    def state(self) -> dict[str, Any]:
        """Return the identity as plain values for a checkpoint."""
        return {"run": self.run, "options": self.config.compared(), "data": self.data}

    def check(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another run, other options or other shapes.

        Raises:
            UserError: says which of them differs.
        """
        kept = checkpoint.get("identity")
        if kept is None:
            console.print("the checkpoint is from adacross 0.1: whether it saw the same shapes is not known.")
            return
        if not isinstance(kept, dict) or not isinstance(kept.get("options"), dict):
            raise UserError("the checkpoint's identity is damaged. Resume from the checkpoint before it.")
        self.config.must_match(kept["options"])
        if kept.get("data") != self.data:
            raise UserError(
                f"{self.config.collection} holds other shapes than the run was trained on, or the same ones "
                "prepared with other options. Give the run's own collection, or another --run."
            )
        if kept.get("run") != self.run:
            raise UserError(
                "the checkpoint belongs to another run. Resume from one of this run, or give another --run."
            )
