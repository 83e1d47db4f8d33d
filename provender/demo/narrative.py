"""What the demo tells who watches it."""

from __future__ import annotations


def tell(text: str) -> None:
    """Print ``text`` at once: what other processes of the demo print comes in between."""
    print(text, flush=True)
