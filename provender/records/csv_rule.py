"""What a record and a field of CSV is: the rule, written once.

- A record ends at ``\\n``, ``\\r\\n`` or ``\\r`` (or at ``lineSep`` alone, where that is set) outside quotes. What
  stands at the end of the file without one is a record too. A line of white space alone and a line that begins with
  ``comment`` are none.
- A quote opens a field only at the field's beginning (after white space that is trimmed); elsewhere it is text. Within,
  two quotes are a quote, and ``escape`` takes the meaning from a quote and from itself. Line breaks within stay as they
  are. Text between the closing quote and the separator belongs to the field.
- A quote is **never closed** if no closing one comes before the file ends, or within :data:`MOST_QUOTED` characters, or
  if the one that closes is on another line and text stands behind it (it is the opening quote of another field). It
  spoils the line it stands in, which is one malformed record, and nothing else.
- A record with another number of fields than the header has is malformed.
- Empty text and ``nullValue`` are null, quoted or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from provender.specs.dialect import Dialect

MOST_QUOTED = 32 << 20
"""Characters of the longest quoted field, and of the longest line."""

Row = list[str | None]


@dataclass
class Parsed:
    """Records of a piece of text: ``rows`` (fields, or the text of a malformed record), and ``end``, the position up
    to which the text was used up. ``unclosed``: positions of quotes that are never closed."""

    rows: list[Row | str] = field(default_factory=list)
    end: int = 0
    unclosed: list[int] = field(default_factory=list)
    is_multi_line: bool = False


class _NeedsMoreError(Exception):
    """The record does not end within the text."""


class _UnclosedError(Exception):
    def __init__(self, at: int) -> None:
        self.at = at


class CsvRule:
    """The rule for one dialect. ``width``: the number of fields a record has; 0: any."""

    def __init__(self, dialect: Dialect, width: int = 0) -> None:
        self.dialect, self.width = dialect, width
        ends = re.escape(dialect.line_break) if dialect.line_break else r"\r\n|\n|\r"
        separator = re.escape(dialect.separator)
        self._end = re.compile(ends)
        if len(dialect.separator) == 1 and not dialect.line_break:
            plain = rf"[^{separator}\r\n]*+"
        else:
            plain = rf"(?:(?!{separator}|{ends}).)*+"
        self._plain = re.compile(plain, re.DOTALL)
        self._quoted, self._unescape = _quoted(dialect)

    def parse(self, text: str, *, at_end: bool, most: int = 0) -> Parsed:
        """Splits whole records off the beginning of ``text``; at most ``most``, if that is not 0."""
        found = Parsed()
        while found.end < len(text) and not (most and len(found.rows) >= most):
            try:
                found.end = self._record(text, found, at_end)
            except _NeedsMoreError:
                break
        return found

    def _record(self, text: str, found: Parsed, at_end: bool) -> int:
        start = found.end
        line_end = self._end.search(text, start)
        if line_end is None and not at_end:
            raise _NeedsMoreError
        stop = line_end.start() if line_end else len(text)
        after = line_end.end() if line_end else len(text)
        line = text[start:stop]
        dialect = self.dialect
        if dialect.comment and line.startswith(dialect.comment):
            return after
        if not dialect.quote or dialect.quote not in line:
            if not line.strip(dialect.blanks):
                return after
            found.rows.append(self._row(line.split(dialect.separator), line))
            return after
        try:
            fields, stop, after = self._fields(text, start, at_end)
        except _UnclosedError as unclosed:
            found.unclosed.append(unclosed.at)
            return self._line_alone(text, start, unclosed.at, found)
        found.is_multi_line = found.is_multi_line or stop > start + len(line)
        whole = [value if is_quoted else self._trimmed(value) for value, is_quoted in fields]
        found.rows.append(self._checked(whole, text[start:stop]))
        return after

    def _line_alone(self, text: str, start: int, opened_at: int, found: Parsed) -> int:
        end = self._end.search(text, opened_at)
        found.rows.append(text[start : end.start() if end else len(text)])
        return end.end() if end else len(text)

    def _fields(self, text: str, at: int, at_end: bool) -> tuple[list[tuple[str, bool]], int, int]:
        """Values, and whether they were quoted; where the record ends, and where the next one begins."""
        dialect, fields = self.dialect, []
        while True:
            begin = self._after_blanks(text, at) if dialect.trim_left else at
            if text.startswith(dialect.quote, begin):
                value, at = self._quoted_field(text, begin, at_end)
                fields.append((value, True))
            else:
                plain = self._plain.match(text, at)
                assert plain is not None
                fields.append((plain[0], False))
                at = plain.end()
            end = self._end.match(text, at)
            if end is not None:
                return fields, at, end.end()
            if at == len(text):
                if not at_end:
                    raise _NeedsMoreError
                return fields, at, at
            at += len(dialect.separator)

    def _quoted_field(self, text: str, begin: int, at_end: bool) -> tuple[str, int]:
        quoted = self._quoted.match(text, begin)
        if quoted is None or quoted.end() - begin > MOST_QUOTED:
            if not at_end and len(text) - begin <= MOST_QUOTED:
                raise _NeedsMoreError
            raise _UnclosedError(begin)
        if quoted.end() == len(text) and not at_end:
            raise _NeedsMoreError  # another quote may follow
        behind = self._plain.match(text, quoted.end())
        assert behind is not None
        if behind.end() == len(text) and not at_end:
            raise _NeedsMoreError
        tail = behind[0].strip(self.dialect.blanks) if self.dialect.trim_right else behind[0]
        if tail and self._end.search(quoted[0]):
            raise _UnclosedError(begin)
        return self._unescape(quoted[1]) + tail, behind.end()

    def _after_blanks(self, text: str, at: int) -> int:
        while at < len(text) and text[at] in self.dialect.blanks:
            at += 1
        return at

    def _row(self, values: list[str], line: str) -> Row | str:
        if self.width and len(values) != self.width:
            return line
        if self.dialect.trim_left or self.dialect.trim_right:
            values = [self._trimmed(value) for value in values]
        null = self.dialect.null
        return [None if value in ("", null) else value for value in values]

    def _checked(self, values: list[str], line: str) -> Row | str:
        if self.width and len(values) != self.width:
            return line
        null = self.dialect.null
        return [None if value in ("", null) else value for value in values]

    def _trimmed(self, value: str) -> str:
        value = value.lstrip(self.dialect.blanks) if self.dialect.trim_left else value
        return value.rstrip(self.dialect.blanks) if self.dialect.trim_right else value


def _quoted(dialect: Dialect) -> tuple[re.Pattern[str], Callable[[str], str]]:
    """A pattern for a quoted field from quote to quote, its inside as group 1, and what undoes the escapes."""
    quote, escape = dialect.quote, dialect.escape
    if not quote:
        return re.compile(r"(?!)"), str
    sign = re.escape(quote)
    if not escape or escape == quote:
        inside = rf"[^{sign}]*+(?:{sign}{sign}[^{sign}]*+)*+"
        return re.compile(f"{sign}({inside}){sign}"), lambda text: text.replace(quote * 2, quote)
    mark = re.escape(escape)
    inside = rf"(?:[^{sign}{mark}]++|{sign}{sign}|{mark}[{sign}{mark}]|{mark}(?![{sign}{mark}]))*+"
    escaped = re.compile(f"{sign}{sign}|{mark}([{sign}{mark}])")
    return (
        re.compile(f"{sign}({inside}){sign}"),
        lambda text: escaped.sub(lambda found: found[1] or quote, text),
    )
