"""Up to which materialization Feast's registry was told what is online: ``ledger/<source>/told.json``.

Only to spare importing Feast where there is nothing to tell; what is told is read off the manifests.
"""

from __future__ import annotations

import json

from provender.ledger.ledger import Ledger
from provender.ledger.manifest import Job, Kind
from provender.storage import Storage


def is_news(storage: Storage, ledger: Ledger) -> bool:
    """Whether a view was written since Feast was told last."""
    last = ledger.last(Job.MATERIALIZE, Kind.MANIFEST)
    return last is not None and last.number > _told(storage, ledger)


def set_told(storage: Storage, ledger: Ledger, number: int) -> None:
    """Notes that Feast knows everything up to the materialization ``number``."""
    with storage.writing(_path(ledger)) as file:
        file.write(json.dumps({"materialize": number}).encode())


def _told(storage: Storage, ledger: Ledger) -> int:
    try:
        return int(json.loads(storage.read(_path(ledger)))["materialize"])
    except FileNotFoundError:
        return 0
    except (ValueError, LookupError, TypeError):
        # It only spares telling: where it cannot be read, Feast is told again and the file is rewritten.
        return 0


def _path(ledger: Ledger) -> str:
    return f"ledger/{ledger.source}/told.json"
