"""Facts of a collection's shapes beside their features: size, path, copies, names to search by."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from adacross.data.collection.collection import Collection
from adacross.data.collection.schema import mapped, read_stream

_COLUMNS = ("path", "content")  # of `adacross.data.collection.schema.MEASURED`


@dataclass(frozen=True, eq=False)
class Facts:
    """Facts of n shapes."""

    sizes: Float64[np.ndarray, "n 3"]  # of the bounding box, in the source's unit and frame; NaN if not known
    copy_of: Int64[np.ndarray, " n"]  # the first shape with the same corners or points, itself for most
    paths: list[str]  # of the files in the source; "" if not known
    names: list[str]  # id, path and class in lower case, a line each

    @classmethod
    def of(cls, collection: Collection) -> "Facts":
        """Read the facts that `prepare` kept; a collection that was made otherwise has only names."""
        count, classes = len(collection), collection.info.classes
        copy_of, paths = np.arange(count), [""] * count
        if collection.info.measured:
            files = sorted(collection.folder.glob("data-*-of-*.arrow"))
            table = pa.concat_tables([read_stream(mapped(file)).select(_COLUMNS) for file in files])
            paths = table["path"].to_pylist()
            _, first, group = np.unique(table["content"].to_pylist(), return_index=True, return_inverse=True)
            copy_of = first[group]
        of_class = [classes[label] if label >= 0 else "" for label in collection.labels.tolist()]
        names = ["\n".join(lines).lower() for lines in zip(collection.ids, paths, of_class, strict=True)]
        return cls(collection.sizes(), copy_of.astype(np.int64), paths, names)

    @property
    def largest(self) -> Float64[np.ndarray, " n"]:
        """The longest sides."""
        largest: Float64[np.ndarray, " n"] = self.sizes.max(axis=1)
        return largest

    def size(self, i: int) -> str:
        """Return a shape's size as text, the longest side first; "" if it is not known."""
        sides = sorted(self.sizes[i].tolist(), reverse=True)
        return "" if np.isnan(sides[0]) else " × ".join(f"{side:.4g}" for side in sides)

    def find(self, text: str) -> Int64[np.ndarray, " k"]:
        """Return the shapes whose id, path or class contains every word of a text; case does not count.

        Those with a part that begins with the first word come first.
        """
        words = text.lower().split()
        found = [i for i, name in enumerate(self.names) if all(word in name for word in words)]

        def later(i: int) -> bool:
            lines = self.names[i].splitlines()
            return not any(part.startswith(words[0]) for line in lines for part in (line, *line.split("/")))

        return np.array(sorted(found, key=later) if words else found, dtype=np.int64)
