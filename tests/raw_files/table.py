"""The corpus as the table of docs/raw-files.md: ``python -m tests.raw_files.table`` prints it."""

from __future__ import annotations

from tests.raw_files.corpus import CASES, RawCase


def documented_table() -> str:
    """Return a Markdown table for each group of files."""
    parts = []
    for group, cases in CASES.items():
        rows = [f"| {case.what}{_told(case)} | {_outcome(case)} |" for case in cases]
        parts.append("\n".join([f"### {group}", "", "| the file | what it becomes |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _told(case: RawCase) -> str:
    told = [f"`{name}: {value!r}`" for name, value in case.raw.get("options", {}).items()]
    return f" ({', '.join(told)})" if told else ""


def _outcome(case: RawCase) -> str:
    if case.becomes.startswith("refused:"):
        return "refused, nothing is changed"
    rows, _, broken = case.becomes.partition("; ") if "; " in case.becomes else (case.becomes, "", "")
    count = len([word for word in rows.split(" ") if "=" in word])
    accepted = {0: "no rows", 1: "1 row"}.get(count, f"{count} rows")
    if not broken:
        return accepted
    parts = ", ".join(
        f"{number} `{reason}`" for reason, number in (one.rsplit(" ", 1) for one in broken.split(", "))
    )
    return f"{accepted}; in quarantine {parts}"


if __name__ == "__main__":
    print(documented_table())
