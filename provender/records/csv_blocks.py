"""A CSV file cut into blocks of whole records, in constant memory.

A block is **regular** where Arrow's CSV reader gives the same records as the rule (:mod:`.csv_rule`) does: quotes stand
only where they open, close or double, and no line is a comment or white space alone. Other blocks the rule reads
itself. Where a block ends depends on the rule alone, so that the blocks of a part of a file are those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from provender.records.csv_rule import MOST_QUOTED, CsvRule, Row
from provender.records.damage import UnreadableFileError
from provender.specs.dialect import Dialect

BLOCK_BYTES = 4 << 20
UNIT = b"\x1f"
"""Stands for a separator of several bytes while Arrow reads."""
_WHITE_SPACE_LINE = re.compile(rb"(?:\A|[\r\n])[ \t\v\f]+(?:[\r\n]|\Z)")
_BLANK_STARTS = (b"\n ", b"\n\t", b"\n\v", b"\n\f", b"\r ", b"\r\t", b"\r\v", b"\r\f")
_BLANK_SIGNS = (b" ", b"\t", b"\v", b"\f")


@dataclass
class Block:
    """Whole records. ``rows``: what the rule made of them, or None for a regular block."""

    data: bytes
    start: int
    """Where it begins in the file's UTF-8 text, in bytes (a byte order mark is not counted)."""
    rows: list[Row | str] | None = None


@dataclass
class CsvBlocks:
    """The walk over one file. ``header`` and what follows it are known as the blocks go by."""

    dialect: Dialect
    block_bytes: int = BLOCK_BYTES
    """About how large a block is."""
    header: list[str] | None = None
    """The names in the first record, or None where there is none (yet)."""
    is_blank: bool = True
    """There was nothing but white space so far."""
    is_multi_line: bool = False
    unclosed_line: int | None = None
    """The line, from 1, of the first quote that is never closed."""
    _buffer: bytes = b""
    _start: int = 0
    _lines: int = 0
    _wanted: int = field(init=False)
    _rule: CsvRule = field(init=False)
    _needs_header: bool = field(init=False)

    def __post_init__(self) -> None:
        self._rule, self._wanted = CsvRule(self.dialect), self.block_bytes
        self._needs_header = self.dialect.header

    def begin_at(self, header: list[str] | None) -> None:
        """Goes on behind the header, as in the middle of a file."""
        self.header, self._needs_header = header, False
        self._rule = CsvRule(self.dialect, len(header or ()))

    def expect(self, width: int) -> None:
        """Says how many fields a record of a file without header has."""
        if not self.dialect.header:
            self._rule = CsvRule(self.dialect, width)

    def walk(self, pieces: Iterable[bytes]) -> Iterator[Block]:
        """Gives the blocks behind the header. Raises :class:`UnreadableFileError` for a line without an end."""
        for piece in pieces:
            self._buffer += piece
            self.is_blank = self.is_blank and not piece.strip()
            if len(self._buffer) >= self._wanted:
                yield from self._take(at_end=False)
        yield from self._take(at_end=True)

    def _take(self, *, at_end: bool) -> Iterator[Block]:
        used = 1
        while self._buffer and used and (at_end or len(self._buffer) >= self._wanted):
            self._wanted = self.block_bytes
            if self._needs_header:
                used = self._take_header(at_end)
            else:
                block, used = self._block(at_end)
                if used:
                    yield block
            self._pass(used)
        if not used:
            self._wanted = 2 * len(self._buffer)
        if len(self._buffer) > 5 * MOST_QUOTED:
            raise UnreadableFileError(f"line {self._lines + 1} has no end")

    def _pass(self, used: int) -> None:
        self._lines += _line_breaks(self._buffer[:used])
        self._buffer, self._start = self._buffer[used:], self._start + used

    def _take_header(self, at_end: bool) -> int:
        text, last = self._text(at_end)
        found = self._rule.parse(text, at_end=at_end, most=1)
        if found.rows:
            self.header = self._names(found.rows[0])
            self.begin_at(self.header)
            self._see(found.unclosed, text)
        return len(text[: found.end].encode()) if found.rows or last else 0

    def _names(self, row: Row | str) -> list[str]:
        if isinstance(row, str):  # a quote in it is never closed
            cells: list[str | None] = list(row.split(self.dialect.separator))
            return [(cell or "").strip().strip(self.dialect.quote) for cell in cells]
        return [(cell or "").strip() for cell in row]

    def _block(self, at_end: bool) -> tuple[Block, int]:
        cut = self._regular_end(at_end)
        if cut:
            return Block(self._buffer[:cut], self._start), cut
        text, _ = self._text(at_end)
        found = self._rule.parse(text, at_end=at_end)
        self._see(found.unclosed, text)
        self.is_multi_line = self.is_multi_line or found.is_multi_line
        used = len(text[: found.end].encode())
        return Block(self._buffer[:used], self._start, found.rows), used

    def reread(self, block: Block) -> list[Row | str]:
        """What the rule makes of a regular block that Arrow refused: a record in it is malformed."""
        return self._rule.parse(block.data.decode(), at_end=True).rows

    def _text(self, at_end: bool) -> tuple[str, bool]:
        """The buffer as text; a carriage return at its end waits for what follows."""
        data = self._buffer
        if not at_end and data.endswith(b"\r"):
            data = data[:-1]
        return data.decode(), at_end

    def _see(self, unclosed: list[int], text: str) -> None:
        if unclosed and self.unclosed_line is None:
            self.unclosed_line = self._lines + 1 + _line_breaks(text[: unclosed[0]].encode())

    def _regular_end(self, at_end: bool) -> int:
        """How many bytes from the buffer's beginning are a regular block; 0 if the rule has to look."""
        data, dialect = self._buffer, self.dialect
        quote = dialect.quote.encode()
        if quote and quote in data:
            cut = self._quoted_end(data, quote, at_end)
            self.is_multi_line = self.is_multi_line or (cut > 0 and self._has_inner_breaks(data[:cut], quote))
        else:
            cut = len(data) if at_end else _last_line_end(data)
        block = data[:cut]
        return cut if cut and self._is_plain(block) else 0

    def _is_plain(self, block: bytes) -> bool:
        """Whether no line of it is a comment, white space alone, or ends as Arrow would not take it."""
        dialect = self.dialect
        if block.startswith(b"\xef\xbb\xbf") or not _ends_fit(block, dialect.line_break):
            return False
        comment = dialect.comment.encode()
        if comment and (block.startswith(comment) or b"\n" + comment in block or b"\r" + comment in block):
            return False
        if len(dialect.separator.encode()) > 1 and UNIT in block:
            return False
        has_blanks = block.startswith(_BLANK_SIGNS) or any(start in block for start in _BLANK_STARTS)
        return not (has_blanks and _WHITE_SPACE_LINE.search(block))

    def _quoted_end(self, data: bytes, quote: bytes, at_end: bool) -> int:
        """Where a block may end in which quotes take turns to open at a field's beginning and close at its end."""
        dialect, separator = self.dialect, self.dialect.separator.encode()
        escape = dialect.escape.encode()
        if len(quote) > 1 or len(separator) > 1 or dialect.trim_left or dialect.trim_right:
            return 0
        if escape and escape != quote and escape in data:
            return 0
        octets = np.frombuffer(data, dtype=np.uint8)
        at = np.flatnonzero(octets == quote[0])
        ends = np.flatnonzero((octets == 10) | (octets == 13)) if dialect.line_break != "\n" else None
        ends = ends if ends is not None else np.flatnonzero(octets == 10)
        if at_end and not len(at) % 2:
            cut = len(data)
        else:
            outside = ends[np.searchsorted(at, ends) % 2 == 0]
            outside = outside[outside < len(data) - 1] if len(outside) and data.endswith(b"\r") else outside
            cut = int(outside[-1]) + 1 if len(outside) else 0
        at = at[at < cut]
        border = np.zeros(256, dtype=bool)
        border[[10, 13, quote[0], separator[0]]] = True
        opens, closes = at[0::2], at[1::2]
        before = border[octets[opens[opens > 0] - 1]]
        behind = border[octets[closes[closes < len(data) - 1] + 1]]
        return cut if bool(before.all()) and bool(behind.all()) else 0

    @staticmethod
    def _has_inner_breaks(block: bytes, quote: bytes) -> bool:
        octets = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero((octets == 10) | (octets == 13))
        return bool((np.searchsorted(np.flatnonzero(octets == quote[0]), ends) % 2).any())


def _last_line_end(data: bytes) -> int:
    """Behind the last line break that is not the very last byte's carriage return, which a line feed may follow."""
    until = len(data) - 1 if data.endswith(b"\r") else len(data)
    return max(data.rfind(b"\n", 0, until), data.rfind(b"\r", 0, until)) + 1


def _ends_fit(block: bytes, line_break: str) -> bool:
    if not line_break:
        return True
    if line_break == "\n":
        return b"\r" not in block
    pairs = block.count(b"\r\n")
    return (
        line_break == "\r\n"
        and block.count(b"\r") == pairs == block.count(b"\n")
        and not block.endswith(b"\r")
    )


def _line_breaks(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
