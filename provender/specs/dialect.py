"""How text files are written: ``raw.options`` of a spec, checked, and as what they mean.

The names are Spark's. What an option cannot mean here is refused by name, with what to write instead.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provender.specs.problems import did_you_mean

KNOWN = {
    "csv": (
        *("sep", "quote", "escape", "comment", "header", "encoding", "nullValue", "lineSep", "multiLine"),
        *("ignoreLeadingWhiteSpace", "ignoreTrailingWhiteSpace"),
    ),
    "json": ("encoding", "lineSep", "multiLine"),
    "parquet": ("mergeSchema",),
    "avro": (),
}
_FLAGS = ("header", "multiLine", "ignoreLeadingWhiteSpace", "ignoreTrailingWhiteSpace", "mergeSchema")
_ONE_CHARACTER = ("quote", "escape", "comment")
_INSTEAD = {
    "delimiter": "write sep",
    "charset": "write encoding",
    "emptyValue": "remove it: empty text is null, quoted or not",
    "nanValue": "remove it: NaN is read as it is, and what stands for null is nullValue",
    "positiveInf": "remove it: Infinity and inf are read as they are",
    "negativeInf": "remove it: -Infinity and -inf are read as they are",
    "charToEscapeQuoteEscaping": "remove it: within quotes, escape escapes itself and the quote",
    "mode": "remove it: a record that cannot be read is quarantined",
    "inferSchema": "remove it: types are those of the spec's columns",
    "dateFormat": "write event_timestamp.format",
    "timestampFormat": "write event_timestamp.format",
    "compression": "remove it: the file's ending says it",
    "allowComments": "remove it: a comment is no JSON, and is quarantined",
    "allowSingleQuotes": "remove it: names and texts in single quotes are no JSON, and are quarantined",
    "allowNonNumericNumbers": "remove it: NaN and Infinity are read as they are",
}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "0": "\0", '"': '"', "'": "'", "\\": "\\"}
_ESCAPED = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_JAVA_NAMES = {
    "x-macroman": "mac_roman",
    "x-windows-874": "cp874",
    "x-windows-949": "cp949",
    "x-utf-16le-bom": "utf-16",
    "x-johab": "johab",
    "ms932": "cp932",
}
WHITE_SPACE = " \t\v\f"

Complaint = tuple[str, str, str]
"""The option, what is wrong, and the remedy."""


@dataclass(frozen=True)
class Dialect:
    """The options of one source, as what they mean. Empty text is "none"."""

    separator: str = ","
    quote: str = '"'
    escape: str = '"'
    comment: str = ""
    header: bool = True
    encoding: str = "utf-8"
    null: str = ""
    trim_left: bool = False
    trim_right: bool = False
    line_break: str = ""
    """Empty: ``\\n``, ``\\r\\n`` and ``\\r``, mixed as they come."""
    multi_line: bool = False
    """JSON alone: a value may go over several lines."""

    @property
    def blanks(self) -> str:
        """White space that may be trimmed: what separates fields is none."""
        return "".join(each for each in WHITE_SPACE if each not in self.separator)


def dialect_of(options: Mapping[str, Any]) -> Dialect:
    """The checked ``raw.options`` of a spec as a dialect."""
    text = {name: characters(str(options[name])) for name in ("sep", *_ONE_CHARACTER) if name in options}
    none = {name: value.replace("\0", "") for name, value in text.items()}
    return Dialect(
        separator=text.get("sep") or ",",
        quote=none.get("quote", '"'),
        escape=none.get("escape", '"'),
        comment=none.get("comment", ""),
        header=_is_true(options.get("header", True)),
        encoding=python_encoding(str(options.get("encoding", "UTF-8"))) or "utf-8",
        null=str(options.get("nullValue", "")),
        trim_left=_is_true(options.get("ignoreLeadingWhiteSpace", False)),
        trim_right=_is_true(options.get("ignoreTrailingWhiteSpace", False)),
        line_break=characters(str(options.get("lineSep", ""))),
        multi_line=_is_true(options.get("multiLine", False)),
    )


def characters(text: str) -> str:
    """``text`` with its escapes replaced: a backslash and a ``t``, as it stands in YAML's single quotes, is a tab. A
    backslash alone is itself."""
    if len(text) < 2:
        return text
    return _ESCAPED.sub(lambda found: _character(found[1]), text)


def _character(name: str) -> str:
    return (
        chr(int(name[1:], 16)) if name.startswith("u") and len(name) > 1 else _ESCAPES.get(name, "\\" + name)
    )


def python_encoding(name: str) -> str | None:
    """Python's name of an encoding that Java or Python knows as ``name``; None if there is none for text."""
    try:
        found = codecs.lookup(_JAVA_NAMES.get(name.lower(), name))
    except (LookupError, ValueError):
        return None
    if not getattr(found, "_is_text_encoding", True) or found.incrementaldecoder is None:
        return None
    return None if found.name in ("idna", "punycode", "undefined") else found.name


def check_options(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    """What is wrong with ``raw.options`` of a plain spec document (``raw`` as it stands in the YAML)."""
    kind, options = str(raw.get("format", "csv")), raw.get("options")
    known = KNOWN.get(kind)
    if known is None or not isinstance(options, Mapping):
        return
    for name, value in options.items():
        if name not in known:
            what = f"raw.options: unknown {kind} option {name!r}"
            yield str(name), what, _INSTEAD.get(str(name)) or did_you_mean(str(name), known)
        elif isinstance(value, str | bool | int):
            for what, remedy in _value_complaints(str(name), value):
                yield str(name), f"raw.options.{name}: {what}", remedy
    if kind == "csv":
        yield from _clashes(options)


def _value_complaints(name: str, value: str | bool | int) -> Iterator[tuple[str, str]]:
    if name in _FLAGS:
        if str(value).lower() not in ("true", "false"):
            yield f"{value!r} is neither true nor false", "write true or false"
        return
    if not isinstance(value, str):
        yield f"{value!r} is no text", f"quote it: {str(value)!r}"
        return
    if name == "encoding" and python_encoding(value) is None:
        yield f"no encoding is called {value!r}", "write its IANA name, for example UTF-16 or windows-1252"
    if name in ("sep", "lineSep") and not value:
        yield "empty", "write the characters, or remove it"
    if name in _ONE_CHARACTER and len(characters(value)) > 1:
        yield f"{value!r} is more than one character", "write one character, or '' for none"
    if name in ("sep", *_ONE_CHARACTER) and any(sign in characters(value) for sign in "\r\n"):
        yield "a line break ends a record, and cannot be this too", "write another character"


def _clashes(options: Mapping[str, Any]) -> Iterator[Complaint]:
    """Characters that would have two meanings."""
    text = {name: options[name] for name in ("sep", *_ONE_CHARACTER) if isinstance(options.get(name), str)}
    meant = {name: characters(value).replace("\0", "") for name, value in text.items()}
    separator, quote = meant.get("sep") or ",", meant.get("quote", '"')
    for name in ("quote", "comment"):
        sign = meant.get(name) or ('"' if name == "quote" and "quote" not in meant else "")
        if sign and sign in separator:
            what = f"raw.options.{name}: {sign!r} is in sep too"
            yield name if name in options else "sep", what, "write another character"
    if meant.get("comment") and meant["comment"] == quote:
        yield "comment", "raw.options.comment: the same as quote", "write another character"


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"
