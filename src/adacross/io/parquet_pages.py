"""The sizes that the pages of a Parquet file promise, before pyarrow makes room for them.

A few bytes of run lengths stand for two billion values, and the sizes in a file's footer need not be those in
its pages. Each page begins with a header in Thrift's compact protocol
(https://github.com/apache/parquet-format), and pyarrow shows none of them, so they are read here.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_DATA, _DATA_2 = 5, 8  # fields of a header that has values; both begin with their number
_UNPACKED, _PACKED = 2, 3  # fields: bytes of the page in memory, and in the file
_DEEPEST = 8  # structures in each other


def check_pages(
    content: pa.Buffer, metadata: pq.FileMetaData, groups: Iterable[int], values: int, size: int
) -> None:
    """Refuse row groups of which a column has more than `values` values, or pages of over `size` bytes.

    Raises:
        LookupError, ValueError: says which, or the headers of the pages are damaged.
    """
    file = memoryview(content).cast("B")
    for number in groups:
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            offsets = (column.data_page_offset, column.dictionary_page_offset)  # 0 or None: no such page
            place = min((offset for offset in offsets if offset), default=0)
            end = place + column.total_compressed_size
            found = taken = 0
            while place < end:
                header, place = _struct(file, place, 0)
                if (page := header.get(_DATA, header.get(_DATA_2))) is not None:
                    found += _count(page, 1)
                taken += _count(header, _UNPACKED)
                place += _count(header, _PACKED)
            if found != column.num_values or found > values or taken > size:
                raise ValueError(f"column {column.path_in_schema} is larger than it may be")


def _count(fields: Any, field: int) -> int:
    """Return a field that is a number of 0 or more."""
    value = fields.get(field) if isinstance(fields, dict) else None
    if not isinstance(value, int) or value < 0:
        raise ValueError("a page's header is damaged")
    return value


def _number(file: memoryview, place: int) -> tuple[int, int]:
    """Return a number of any length, seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        byte = file[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("a page's header is damaged")


def _value(file: memoryview, place: int, kind: int, depth: int) -> tuple[Any, int]:
    """Return a whole number or a structure, None for any other value, and the place behind it."""
    match kind:
        case 1 | 2:  # true and false: the kind is the value
            return None, place
        case 3:
            return None, place + 1
        case 4 | 5 | 6:
            value, place = _number(file, place)
            return (value >> 1) ^ -(value & 1), place
        case 7:
            return None, place + 8
        case 8:
            length, place = _number(file, place)
            return None, place + length
        case 12 if depth < _DEEPEST:
            return _struct(file, place, depth + 1)
    raise ValueError("a page's header is damaged")  # lists and maps are in none


def _struct(file: memoryview, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a structure by number, and the place behind it."""
    fields: dict[int, Any] = {}
    field = 0
    while (head := file[place]) != 0:
        place += 1
        if head >> 4:
            field += head >> 4
        else:
            field, place = _value(file, place, 4, depth)
        fields[field], place = _value(file, place, head & 15, depth)
    return fields, place + 1
