"""``provender.definitions``: the Feast objects of another feature repo, over this repo's offline store.

Feast cannot serve two offline stores from one project. So the second one is a folder of its own with two files:

    feature_store.yaml     its project, its registry, offline_store: {type: bigquery, …}
    definitions.py         import provender
                           globals().update(provender.definitions("../feature_defs"))
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from feast import Entity, FeatureService
from feast.base_feature_view import BaseFeatureView
from feast.data_source import DataSource
from feast.repo_operations import get_repo_files, py_path_to_module

from provender.errors import SettingsError
from provender.feast.repo import in_repo
from provender.feast.sources import borrowing
from provender.settings import SETTINGS_FILE, load_settings

_KINDS = (Entity, BaseFeatureView, DataSource, FeatureService)


def definitions(folder: Path | str) -> dict[str, Any]:
    """Entities, views, sources and services that the files of ``folder`` define, by ``<module>.<name>``.

    ``folder`` is relative to the calling file. Its settings say where the tables are, the calling repo's
    ``offline_store`` which sources they become. Raises :class:`SettingsError` where either has no settings, and
    whatever the files raise.
    """
    here = Path(sys._getframe(1).f_globals["__file__"]).resolve().parent
    other = (here / folder).resolve()
    if not (other / SETTINGS_FILE).is_file():
        raise SettingsError(
            f"there is no {SETTINGS_FILE}, so no feature repo",
            where=str(other),
            remedy="name the folder of the definitions, relative to this file",
        )
    token = borrowing.set(load_settings(here))
    try:
        with in_repo(other):
            return _objects(other)
    finally:
        borrowing.reset(token)


def _objects(repo: Path) -> dict[str, Any]:
    modules = [importlib.import_module(py_path_to_module(file)) for file in get_repo_files(repo)]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, _KINDS)
    }
