"""Ways to damage a file, each a plain function of its bytes and a seeded generator."""

import re
import struct
from collections.abc import Callable, Iterator

import numpy as np

Mutator = Callable[[bytes, np.random.Generator], bytes]
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_HEAD = 256  # bytes in which most formats keep their sizes


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """An interrupted download."""
    return data[: _place(data, rng)]


def cut_short(data: bytes, rng: np.random.Generator) -> bytes:
    """The last few bytes are missing."""
    return data[: -int(rng.integers(1, 9))]


def cut_head(data: bytes, rng: np.random.Generator) -> bytes:
    """Little more than a header."""
    return data[: int(rng.integers(1, min(len(data), _HEAD) + 1))]


def cut_start(data: bytes, rng: np.random.Generator) -> bytes:
    """The beginning is missing."""
    return data[_place(data, rng) :]


def cut_line(data: bytes, rng: np.random.Generator) -> bytes:
    """A line is missing."""
    lines = data.splitlines(keepends=True)
    del lines[int(rng.integers(len(lines)))]
    return b"".join(lines)


def repeat_line(data: bytes, rng: np.random.Generator) -> bytes:
    """A line stands there a thousand times."""
    lines = data.splitlines(keepends=True)
    place = int(rng.integers(len(lines)))
    lines[place : place + 1] = [lines[place][:200]] * 1000
    return b"".join(lines)


def flip_bit(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit is wrong, anywhere."""
    return _flipped(data, rng, 1, len(data))


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Many bits are wrong."""
    return _flipped(data, rng, 2 + len(data) // 50, len(data))


def flip_head(data: bytes, rng: np.random.Generator) -> bytes:
    """Two bits are wrong where sizes are declared."""
    return _flipped(data, rng, 2, min(_HEAD, len(data)))


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes too many."""
    place = _place(data, rng)
    return data[:place] + rng.bytes(int(rng.integers(1, 9))) + data[place:]


def delete(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes too few."""
    place = _place(data, rng)
    return data[:place] + data[place + int(rng.integers(1, 9)) :]


def swap(data: bytes, rng: np.random.Generator) -> bytes:
    """Two blocks in the wrong order."""
    first, second, third = np.sort(rng.integers(0, len(data) + 1, 3)).tolist()
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def zeros(data: bytes, rng: np.random.Generator) -> bytes:
    """A block that was never written."""
    return _overwritten(data, rng, bytes(64))


def ones(data: bytes, rng: np.random.Generator) -> bytes:
    """A block of all ones: NaN, -1 or the largest number."""
    return _overwritten(data, rng, b"\xff" * int(rng.choice([2, 4, 8, 16])))


def garbage(data: bytes, rng: np.random.Generator) -> bytes:
    """Something else of the same size."""
    return rng.bytes(len(data))


def append(data: bytes, rng: np.random.Generator) -> bytes:
    """Something behind the end."""
    return data + rng.bytes(500)


def large_integer(data: bytes, rng: np.random.Generator) -> bytes:
    """A binary size that no memory holds, near the beginning."""
    codes = ["<I", ">I", "<Q", ">Q"]
    number = int(rng.choice([10**9, 2**31 - 1, 2**31, 2**32 - 1]))
    written = struct.pack(codes[int(rng.integers(4))], number)
    place = int(rng.integers(0, min(_HEAD, len(data))))
    return data[:place] + written + data[place + len(written) :]


def billion(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the text is a billion."""
    return _renumbered(data, rng, b"1000000000")


def endless_number(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the text has thousands of digits."""
    return _renumbered(data, rng, b"9" * 5000)


def negative(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the text is below 0."""
    return _renumbered(data, rng, b"-7")


def nan(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the text is none."""
    return _renumbered(data, rng, b"nan")


def infinite(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the text is beyond all floats."""
    return _renumbered(data, rng, b"1e999")


def fraction(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the text is not whole."""
    return _renumbered(data, rng, b"0.5")


def words(data: bytes, rng: np.random.Generator) -> bytes:
    """Text of no encoding in place of a number."""
    return _renumbered(data, rng, b"\xff\xfe\x00../../x")


def equal_numbers(data: bytes, rng: np.random.Generator) -> bytes:
    """All numbers of the second half are 0: no area, one point."""
    half = len(data) // 2
    return data[:half] + _NUMBER.sub(b"0", data[half:])


def long_line(data: bytes, rng: np.random.Generator) -> bytes:
    """A line of 200,000 characters."""
    place = _place(data, rng)
    return data[:place] + b"1 " * 100_000 + data[place:]


def nesting(data: bytes, rng: np.random.Generator) -> bytes:
    """Brackets within brackets, 20,000 deep."""
    place = _place(data, rng)
    kind = [b"[", b"{", b'{"a":', b"("][int(rng.integers(4))]
    return data[:place] + kind * 20_000 + data[place:]


MUTATORS: tuple[Mutator, ...] = (
    cut, cut_short, cut_head, cut_start, cut_line, repeat_line, flip_bit, flip_bits, flip_head, insert,
    delete, swap, zeros, ones, garbage, append, large_integer, billion, endless_number, negative, nan,
    infinite, fraction, words, equal_numbers, long_line, nesting,
)  # fmt: skip


def mutants(whole: bytes, rounds: int, key: str) -> Iterator[tuple[str, bytes]]:
    """Every mutator's damage to a whole file, `rounds` times, by name ("flip_bit 3").

    The same file, number and key give the same mutants.
    """
    for turn in range(rounds):
        for number, mutate in enumerate(MUTATORS):
            rng = np.random.default_rng([turn, number, *key.encode()])
            yield f"{mutate.__name__} {turn}", mutate(whole, rng)


def _place(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(0, len(data)))


def _flipped(data: bytes, rng: np.random.Generator, count: int, end: int) -> bytes:
    flipped = bytearray(data)
    for place in rng.integers(0, end, count).tolist():
        flipped[place] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def _overwritten(data: bytes, rng: np.random.Generator, block: bytes) -> bytes:
    place = _place(data, rng)
    return (data[:place] + block + data[place + len(block) :])[: len(data)]


def _renumbered(data: bytes, rng: np.random.Generator, number: bytes) -> bytes:
    """Another number in place of one of the text's; of the first ones, which are sizes, every second time."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return number + data
    first = rng.random() < 0.5
    match = found[int(rng.integers(min(6, len(found)) if first else len(found)))]
    return data[: match.start()] + number + data[match.end() :]
