"""Records of JSON lines: each object is a record, wherever on a line it begins.

- Objects one after the other on a line are a record each; so are those that stand together where files were joined
  without a line break.
- What stands behind an object and is none, a value that is no object, and an object that names a declared column twice
  (upper and lower case alike) are malformed records, kept as they were delivered. After text that is no JSON the rest
  of its line belongs to it.
- Fields are text: numbers with the digits they came with, ``true`` and ``false``, nested values as compact JSON. JSON's
  null and an absent name are null.
- With ``multiLine`` values may go over several lines, and an array around all of them is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from provender.records.batch import RecordBatch
from provender.records.build import BATCH_ROWS, text_batch
from provender.records.csv_rule import Row
from provender.records.damage import UnreadableFileError
from provender.specs.dialect import Dialect

MOST_LINE_BYTES = 128 << 20
_OPENINGS = ("[", "{", "[{")
_BLANK = " \t\r\n\ufeff"
"""A byte order mark within is what joined files leave."""
_BETWEEN = re.compile(r"[ \t\r\n\ufeff]*+")
_FLAT = re.compile(rb"(?:\A|(?<=[\r\n]))[ \t]*\{[^{}\r\n]*\}[ \t]*(?=[\r\n]|\Z)")
_MOST_WAITING = 16 << 20


class _Number(str):
    """A number's own digits, to tell it from text in quotes."""

    __slots__ = ()


_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple, parse_float=_Number, parse_int=_Number, parse_constant=_Number
)


@dataclass(frozen=True)
class JsonRecord:
    """``text``: as delivered. ``values``: a text or null for each declared column; None: the record is malformed."""

    text: str
    values: Row | None


def json_batches(
    pieces: Iterable[bytes],
    dialect: Dialect,
    declared: Sequence[str],
    *,
    first: int = 1,
    say: Callable[[str], None] | None = None,
) -> Iterator[RecordBatch]:
    """The records of UTF-8 text, with all ``declared`` columns. ``first``: the number of the first record. ``say`` is
    told if the file seems to be one JSON value over several lines."""
    for records in json_records(pieces, dialect, declared):
        if first == 1 and say is not None and records[0].values is None and records[0].text in _OPENINGS:
            say("its JSON goes over several lines: raw.options of {multiLine: true} would read it")
        rows = [record.text if record.values is None else record.values for record in records]
        yield text_batch(declared, rows, first)
        first += len(rows)


def json_records(
    pieces: Iterable[bytes], dialect: Dialect, declared: Sequence[str]
) -> Iterator[list[JsonRecord]]:
    """The records with the text they were delivered as, in lists of at most :data:`BATCH_ROWS` or a little more.

    Raises :class:`UnreadableFileError` for a line that has no end.
    """
    reader = _Reader(declared)
    waiting: list[JsonRecord] = []
    size = 0
    texts = _values(pieces) if dialect.multi_line else json_lines(pieces, dialect.line_break)
    for text in texts:
        waiting += reader.records(text)
        size += len(text)
        if len(waiting) >= BATCH_ROWS or size > _MOST_WAITING:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def json_lines(pieces: Iterable[bytes], line_break: str) -> Iterator[str]:
    """Lines that are not blank. A JSON text holds no raw line break, so each one ends a line."""
    for block in _whole_lines(pieces, line_break):
        yield from _split(block.decode(), line_break)


def count_json_lines(pieces: Iterable[bytes], line_break: str) -> int:
    """How many records JSON lines have. Lines that are one object without others in it, as most are, are counted
    without being read."""
    reader, count = _Reader(()), 0
    for block in _whole_lines(pieces, line_break):
        lines = list(_split(block.decode(), line_break))
        flat = len(_FLAT.findall(block)) if not line_break else -1
        count += len(lines) if flat == len(lines) else sum(1 for line in lines for _ in reader.records(line))
    return count


def _whole_lines(pieces: Iterable[bytes], line_break: str) -> Iterator[bytes]:
    """The text in blocks that end behind a line break. Raises :class:`UnreadableFileError` for a line without end."""
    ends = [line_break.encode()] if line_break else [b"\n", b"\r"]
    rest = b""
    for piece in pieces:
        found = max((at + len(end) for end in ends if (at := piece.rfind(end)) >= 0), default=0)
        if found:
            yield rest + piece[:found]
            rest = piece[found:]
        else:
            rest += piece
        if len(rest) > MOST_LINE_BYTES:
            raise UnreadableFileError("a line of it has no end")
    yield rest


def _split(text: str, line_break: str) -> Iterator[str]:
    lines = text.split(line_break) if line_break else text.replace("\r", "\n").split("\n")
    for line in lines:
        if stripped := line.strip(_BLANK):
            yield stripped


class _Reader:
    def __init__(self, declared: Sequence[str]) -> None:
        self._declared = list(declared)
        self._names = frozenset(declared)
        self._by_case = {name.lower(): name for name in reversed(self._declared)}
        self._harmless: set[str] = set()

    def records(self, line: str) -> Iterator[JsonRecord]:
        """The records on a line without white space around it."""
        at = 0
        while at < len(line):
            try:
                value, end = _DECODER.raw_decode(line, at)
            except (ValueError, RecursionError):
                yield JsonRecord(line[at:], None)
                return
            text = line if (at, end) == (0, len(line)) else line[at:end]
            yield self._record(text, value)
            between = _BETWEEN.match(line, end)
            at = between.end() if between else end

    def _record(self, text: str, pairs: Any) -> JsonRecord:
        # The decoder gives an object as a tuple of pairs; an array is a list.
        if not isinstance(pairs, tuple):
            return JsonRecord(text, None)
        found = dict(pairs)
        if len(found) < len(pairs) and self._is_twice([name for name, _ in pairs]):
            return JsonRecord(text, None)
        others = found.keys() - self._names - self._harmless
        if others and not self._place(found, others):
            return JsonRecord(text, None)
        try:
            row = [_text(found.get(name)) for name in self._declared]
        except (UnicodeEncodeError, RecursionError):  # half of a surrogate pair is no text
            return JsonRecord(text, None)
        return JsonRecord(text, row)

    def _is_twice(self, names: list[str]) -> bool:
        return any(names.count(name) > 1 for name in names if name in self._names)

    def _place(self, found: dict[str, Any], others: set[str]) -> bool:
        """Puts values under the declared names they belong to; False if one has two of them."""
        for name in others:
            own = self._by_case.get(name.lower())
            if own is None:
                self._harmless.add(name) if len(self._harmless) < 10_000 else None
            elif own in found:
                return False
            else:
                found[own] = found[name]
        return True


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        if not value.isascii():
            value.encode()
        return str(value)
    return _dumped(value)


def _dumped(value: Any) -> str:
    """Compact JSON."""
    if value is True or value is False:
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        value.encode()
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return (
            "{"
            + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{_dumped(each)}" for name, each in value)
            + "}"
        )
    return "[" + ",".join(map(_dumped, value)) + "]"


def _values(pieces: Iterable[bytes]) -> Iterator[str]:
    """The texts of JSON values that may go over several lines, one by one; an array around them, and the commas in it,
    are passed over. Text that is no JSON is one value, to the end."""
    stream, buffer, wanted = iter(pieces), "", 0
    in_array: bool | None = None
    at_end = False
    while not at_end or buffer:
        while len(buffer) <= wanted and not at_end:
            piece = next(stream, None)
            buffer, at_end = (buffer, True) if piece is None else (buffer + piece.decode(), False)
        buffer = buffer.lstrip(_BLANK)
        if in_array is None and buffer:
            in_array = buffer.startswith("[")
            buffer = buffer[1:].lstrip(_BLANK) if in_array else buffer
        if in_array and buffer[:1] in (",", "]"):
            buffer, wanted = buffer[1:], 0
            continue
        try:
            _, end = _DECODER.raw_decode(buffer)
        except (ValueError, RecursionError):
            end = 0
        if end and (end < len(buffer) or at_end):
            yield buffer[:end]
            buffer, wanted = buffer[end:], 0
        elif at_end or len(buffer) > MOST_LINE_BYTES:
            if buffer:
                yield buffer
            return
        else:
            wanted = max(2 * len(buffer), 1 << 16)
