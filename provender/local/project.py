"""Folders that go with a feature repo and are in no wheel: the training and serving environments."""

from __future__ import annotations

import os
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]


def project_folder(name: str, variable: str, repo: Path | None = None) -> Path:
    """Return the folder ``name``, whether it is there or not.

    It is what the environment's ``variable`` says; else the one beside the feature repo ``repo``; else, in a checkout,
    the one beside this package.
    """
    if named := os.environ.get(variable):
        return Path(named)
    beside = [folder / name for folder in (repo.parent if repo else None, _CHECKOUT) if folder]
    return next((folder for folder in beside if folder.is_dir()), beside[0])
