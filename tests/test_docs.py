"""The docs agree with the code: links lead somewhere, generated pages are current."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from docs.tooling import picture
from docs.tooling.links import without_outside_links
from docs.tooling.reference import PAGES, REFERENCE, Page, field_docs, render
from tests.engine import CHECKOUT

DOCS = CHECKOUT / "docs"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page of the docs, and the README."""
    return [CHECKOUT / "README.md", *sorted(DOCS.rglob("*.md"))]


def headings(page: Path) -> set[str]:
    """The anchors of a page: its headings in lower case, spaces as hyphens, punctuation left out."""
    found = re.findall(r"^#+ (.*)$", _CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


def broken_links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link or path.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            yield link


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)
def test_the_reference_is_what_the_field_docs_say(page: Page) -> None:
    text = (REFERENCE / page.file).read_text()
    assert text == render(page), "run: python -m docs.tooling.reference"


def test_the_picture_is_what_its_script_draws() -> None:
    assert picture.TARGET.read_text() == picture.draw(), "run: python -m docs.tooling.picture"


class Undocumented(BaseModel):
    """A model for the test."""

    told: int = 1
    """What it is."""
    untold: int = 2


def test_a_field_without_a_doc_is_an_error_that_names_it() -> None:
    assert field_docs(Undocumented) == {"told": "What it is."}
    with pytest.raises(LookupError, match=r"Undocumented: no doc under untold"):
        render(Page("x.md", "X", "", Undocumented))


def test_every_page_is_in_the_sites_navigation() -> None:
    site = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text())
    listed = set(re.findall(r"[\w/-]+\.md", str(site["nav"])))
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} == listed


def test_the_site_shows_a_source_file_as_its_path() -> None:
    text = (
        "See [here](../provender/errors.py), [errors.py](../provender/errors.py) and [words](glossary.md#a)."
    )
    shown = "See here (`provender/errors.py`), `provender/errors.py` and [words](glossary.md#a)."
    assert without_outside_links(text, DOCS / "x.md", DOCS) == shown
    inside = "[manifests](../manifests.md#after-a-crash)"
    assert without_outside_links(inside, DOCS / "decisions" / "x.md", DOCS) == inside
