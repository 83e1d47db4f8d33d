"""Where the quoted fields of a CSV file begin and end: what counting quotes cannot tell.

A quote opens a field only at the field's beginning (``5" pipe`` has none), and closes it only if no other quote
follows (``""`` is a quote within).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Any

from provender.specs.model import Raw

_LINE_BREAK = re.compile(rb"\r\n|\n|\r")


def scan_quotes(pieces: Iterable[bytes], raw: Raw) -> dict[str, Any]:
    """``multiline``: whether a quoted field holds a line break; ``unclosed_quote``: the number of the line (from 1)
    where a quote opens that is never closed, or None. If one is never closed, nobody can say where its field
    should have ended: then every line has to be read as a row of its own, and ``multiline`` is false."""
    scanner = _Scanner(raw)
    for piece in pieces:
        scanner.see(piece)
    return scanner.result()


class _Scanner:
    def __init__(self, raw: Raw) -> None:
        encoding = str(raw.options.get("encoding", "UTF-8"))
        quote = str(raw.options.get("quote", '"')).encode(encoding)
        escape = str(raw.options.get("escape", '"')).encode(encoding)
        separator = str(raw.options.get("sep", ",")).encode(encoding)
        begins = rb"(?:\n|\r|" + re.escape(separator) + rb")(?:" + codecs.BOM_UTF8 + rb")?"
        self._opening = re.compile(begins + re.escape(quote))
        # An escaped character, or a doubled quote, or the quote that closes; the last needs the byte after it.
        inner = re.escape(quote) + re.escape(quote) + rb"|" + re.escape(quote)
        if escape and escape != quote:
            inner = re.escape(escape) + rb".|" + inner
        self._inner = re.compile(inner, re.DOTALL)
        self._quote, self._overlap = quote, len(separator) + len(codecs.BOM_UTF8) + len(quote)
        self._rest = b"\n"  # as if a line had ended: a field begins
        self._line = 0
        self._opened_at: int | None = None
        self._multiline = False

    def see(self, piece: bytes) -> None:
        self._rest = self._walk(self._rest + piece, at_end=False)

    def result(self) -> dict[str, Any]:
        self._walk(self._rest, at_end=True)
        unclosed = self._opened_at
        return {"multiline": self._multiline and unclosed is None, "unclosed_quote": unclosed}

    def _walk(self, text: bytes, *, at_end: bool) -> bytes:
        """Follows the quotes through ``text``; returns its end, which cannot be judged before more has come."""
        at = 0
        while True:
            if self._opened_at is None:
                found = self._opening.search(text, at)
                if found is None:
                    keep = len(text) if at_end else max(at, len(text) - self._overlap)
                    self._line += _breaks(text[at:keep])
                    return text[keep:]
                self._line += _breaks(text[at : found.end()])
                self._opened_at, at = self._line, found.end()
            end, closes = self._judge_quoted(text, at, at_end)
            self._pass_quoted(text[at:end])
            if not closes:
                return text[end:]
            self._opened_at, at = None, end

    def _judge_quoted(self, text: bytes, at: int, at_end: bool) -> tuple[int, bool]:
        """How far the open field can be followed, and whether it is closed there."""
        end = at
        for found in self._inner.finditer(text, at):
            if found.group() == self._quote:
                is_certain = at_end or found.end() + len(self._quote) <= len(text)
                return (found.end(), True) if is_certain else (found.start(), False)
            end = found.end()
        # The last byte may be an escape character, or half of something.
        return (len(text) if at_end else max(end, len(text) - 1)), False

    def _pass_quoted(self, text: bytes) -> None:
        breaks = _breaks(text)
        self._multiline |= breaks > 0
        self._line += breaks


def _breaks(text: bytes) -> int:
    return len(_LINE_BREAK.findall(text))
