"""A callback of its own."""

from adacross import Callback


class Curve(Callback):
    """Write the loss of every epoch to `curve.txt` in the run folder."""

    def on_start(self, training):
        self.path = training.folder / "curve.txt"

    def on_epoch(self, training):
        if training.group.first:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{training.record['epoch']:g} {training.record['loss']:.4f}\n")
