"""Adapt the pages for the site: mkdocs calls :func:`on_page_markdown` as a hook.

Pages link to source files by relative path, which works in a checkout. The site holds the pages alone, so such a link
becomes the file's path as text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]\[]+)\]\(((?:\.\./)+[^)#\s]*)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page's text, links that leave ``docs/`` replaced by paths."""
    docs = Path(config["docs_dir"]).resolve()
    return without_outside_links(markdown, Path(page.file.abs_src_path).resolve(), docs)


def without_outside_links(markdown: str, page: Path, docs: Path) -> str:
    """Replace ``[text](../path)`` by the text and the path where the path is not under ``docs``."""

    def replaced(match: re.Match[str]) -> str:
        target = (page.parent / match[2]).resolve()
        if target.is_relative_to(docs):
            return match[0]
        path = f"`{target.relative_to(docs.parent)}`"
        return path if match[1].strip("`") in (target.name, f"{target.name}/") else f"{match[1]} ({path})"

    return _LINK.sub(replaced, markdown)
