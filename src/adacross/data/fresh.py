"""Built-in shapes that are drawn while a network trains: new ones for every batch, none of them stored."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from adacross.data.collection.sample import SampleOptions, make_sample
from adacross.data.formats import BUILTIN
from adacross.data.formats.base import SampleRef
from adacross.data.procedural import CATEGORIES
from adacross.data.rendering.render import load_kernels
from adacross.data.workers.local import Request, WorkerCrash, each
from adacross.errors import UserError

COMPOSITES = 0.5  # of the shapes are nameless; the others are of a category
_AHEAD = 4  # batches that wait, at most, for each worker

Drawn = tuple[Float32[np.ndarray, "B N 3"], UInt8[np.ndarray, "B S S 3"] | None]


@dataclass(frozen=True)
class FreshShapes:
    """Endless built-in shapes; number `i` of them follows only from (seed, i).

    Example:
        >>> points, images = FreshShapes(seed=0, points=64, size=32).draw([0, 1, 2])
        >>> points.shape, images.shape
        ((3, 64, 3), (3, 32, 32, 3))
    """

    seed: int
    points: int  # of each
    size: int  # side of the one image of each in pixels; 0 for none

    def draw(self, numbers: Iterable[int]) -> Drawn:
        """Make some shapes: their points, y up, centroid 0, largest norm 1, and an image of each."""
        options = SampleOptions(BUILTIN, self.points, int(self.size > 0), max(self.size, 1), self.seed)
        made = [make_sample(self._item(number), options).shape for number in numbers]
        points = np.stack([shape.points for shape in made])
        return points, np.concatenate([shape.views for shape in made]) if self.size else None

    def name(self, number: int) -> str:
        """Return the name of a shape: its category and its number."""
        return self._item(number).id

    def _item(self, number: int) -> SampleRef:
        rng = np.random.default_rng([self.seed, number])
        named = rng.random() >= COMPOSITES
        category = CATEGORIES[rng.integers(len(CATEGORIES))] if named else "composite"
        extra = {"category": category, "seed": int(rng.integers(2**32)), "variant": "clean"}
        return SampleRef(f"{category}/{number}", extra=extra)

    def batches(self, batches: Iterable[list[int]], workers: int) -> Generator[Drawn, None, None]:
        """Draw batches in worker processes, a few ahead of the caller; UserError if a process ends early."""
        slots, stopped = threading.Semaphore(_AHEAD * workers), threading.Event()

        def requests() -> Iterator[Request]:
            for numbers in batches:
                slots.acquire()
                if stopped.is_set():
                    return
                yield {"shapes": asdict(self), "numbers": numbers}

        waiting: dict[int, bytes] = {}
        following = 0
        with closing(each(f"{__name__}:serve_batch", requests(), workers)) as answers:
            try:
                for place, answer in answers:
                    if isinstance(answer, WorkerCrash):
                        raise UserError(f"cannot draw shapes: {answer.reason}. Continue with --resume auto.")
                    waiting[place] = answer
                    while following in waiting:
                        yield self._read(waiting.pop(following))
                        slots.release()
                        following += 1
            finally:  # a thread that waits for a slot must end, too
                stopped.set()
                slots.release(workers)

    def _read(self, answer: bytes) -> Drawn:
        count = len(answer) // (12 * self.points + 3 * self.size**2)
        points = np.frombuffer(answer, np.float32, 3 * self.points * count).reshape(count, self.points, 3)
        images = np.frombuffer(answer, np.uint8, offset=points.nbytes)
        images = images.reshape(count, self.size, self.size, 3)
        return points.copy(), images.copy() if self.size else None


def before_serve_batch() -> None:
    """Load what draws before memory is limited. Runs in a worker process."""
    load_kernels()


def serve_batch(request: Request) -> bytes:
    """Draw the shapes of one batch. Runs in a worker process."""
    points, images = FreshShapes(**request["shapes"]).draw(request["numbers"])
    return points.tobytes() + (b"" if images is None else images.tobytes())
