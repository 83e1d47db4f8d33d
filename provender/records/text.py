"""Text as UTF-8, in pieces that end between characters, whatever encoding it came in."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain

from provender.records.damage import UndecodableError

_BOM = codecs.BOM_UTF8
_LOOK_BYTES = 4096


def as_utf8(pieces: Iterable[bytes], encoding: str, shown: str) -> Iterator[bytes]:
    """Gives ``pieces`` of text in ``encoding`` (Python's name) as UTF-8, without a byte order mark at its beginning.

    Raises :class:`UndecodableError` (with the name ``shown``) at the first byte that is not in the encoding.
    """
    encoded = _checked(pieces, shown) if encoding == "utf-8" else _decoded(pieces, encoding, shown)
    at_start = True
    for piece in encoded:
        if at_start and piece:
            piece, at_start = piece.removeprefix(_BOM), False
        if piece:
            yield piece


def _checked(pieces: Iterable[bytes], shown: str) -> Iterator[bytes]:
    rest, seen = b"", 0
    for piece in pieces:
        data = rest + piece
        try:
            _, size = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError as error:
            begins = data if not seen else b""
            raise UndecodableError(shown, seen + error.start, begins) from error
        rest, seen = data[size:], seen + size
        yield data[:size]
    if rest:
        raise UndecodableError(shown, seen)


def _decoded(pieces: Iterable[bytes], encoding: str, shown: str) -> Iterator[bytes]:
    stream = iter(pieces)
    first = b""
    while len(first) < _LOOK_BYTES and (piece := next(stream, b"")):
        first += piece
    decoder = codecs.getincrementaldecoder(_with_byte_order(encoding, first))("strict")
    seen = 0
    for data in chain([first], stream):
        yield _decode(decoder, data, seen, shown)
        seen += len(data)
    if pending := len(decoder.getstate()[0]):
        raise UndecodableError(shown, seen - pending)
    yield _decode(decoder, b"", seen, shown, final=True)


def _decode(
    decoder: codecs.IncrementalDecoder, data: bytes, seen: int, shown: str, *, final: bool = False
) -> bytes:
    pending = len(decoder.getstate()[0])
    try:
        return decoder.decode(data, final).encode("utf-8")
    except UnicodeDecodeError as error:
        raise UndecodableError(shown, seen - pending + error.start) from error
    except UnicodeEncodeError as error:
        raise UndecodableError(shown, seen) from error


def _with_byte_order(encoding: str, first: bytes) -> str:
    """UTF-16 and UTF-32 without a mark are read in the order in which their zero bytes lie: most text has separators
    and digits, which have one."""
    if encoding not in ("utf-16", "utf-32"):
        return encoding
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return encoding
    even, odd = first[0::2].count(0), first[1::2].count(0)
    if encoding == "utf-32":
        return "utf-32-be" if first[:1] == b"\0" else "utf-32-le"
    return "utf-16-le" if odd > even else "utf-16-be"
