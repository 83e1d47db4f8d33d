"""All sources of a feature repo: ``<repo>/sources/*.yaml``.

A file that is wrong does not hide the others: it is in :attr:`Catalog.broken`, with its errors. Only files
that changed since the last load are parsed (:mod:`provender.specs.cache`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from provender.errors import SpecError
from provender.settings import SETTINGS_FILE, load_settings
from provender.specs.cache import SpecCache
from provender.specs.loader import load_checked
from provender.specs.problems import cannot_be_checked, did_you_mean, shown_path
from provender.specs.source import Source

SOURCES_FOLDER = "sources"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The sources of a repo, by name."""

    repo: Path
    sources: dict[str, Source] = field(default_factory=dict)
    broken: dict[str, SpecError] = field(default_factory=dict)
    """File stem (file name, where the stem is another source's) to everything that is wrong with the file."""

    @classmethod
    def load(cls, repo: Path, cache_folder: Path | None = None) -> Catalog:
        """Reads every spec of ``repo``.

        ``cache_folder``: where parsed specs are kept; default: the settings' ``state_dir``, or nowhere if the
        repo has no settings file. Raises :class:`provender.errors.SettingsError` if the settings are broken.
        """
        folder = repo.resolve()
        if cache_folder is None and (folder / SETTINGS_FILE).is_file():
            cache_folder = load_settings(folder).state_dir / "specs"
        catalog = cls(folder)
        with SpecCache(cache_folder, folder) as cache:
            for path in spec_files(folder / SOURCES_FOLDER):
                catalog._add(path, cache)
        return catalog

    def source(self, name: str) -> Source:
        """The source called ``name``. Raises :class:`SpecError`: its own errors, or that there is none."""
        if name in self.sources:
            return self.sources[name]
        if name in self.broken:
            raise self.broken[name]
        known = [*self.sources, *self.broken]
        where = shown_path(self.repo / SOURCES_FOLDER)
        raise SpecError(f"no source is called {name!r}", where=where, remedy=did_you_mean(name, known))

    def path_of(self, name: str) -> Path:
        """The spec file of source ``name``."""
        return self.repo / SOURCES_FOLDER / f"{name}.yaml"

    def sql_path_of(self, name: str, table: str) -> Path:
        """The SQL file of a derived table. Raises :class:`SpecError` for a table taken as it is."""
        sql = self._table_sql(name, table)
        return self.repo / SOURCES_FOLDER / sql

    def sql_of(self, name: str, table: str) -> str:
        """The SQL text of a derived table. Raises :class:`SpecError` if it has none or cannot be read."""
        path = self.sql_path_of(name, table)
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(
                f"cannot read the SQL of {name}.{table}: {error}", where=shown_path(path)
            ) from error

    def sql_texts(self, name: str) -> dict[str, str]:
        """Table name to SQL text, for the derived tables of source ``name``."""
        return {t.name: self.sql_of(name, t.name) for t in self.source(name).tables if t.is_derived}

    def _table_sql(self, name: str, table: str) -> str:
        source = self.source(name)
        tables = {each.name: each for each in source.tables}
        where = shown_path(self.path_of(name))
        if table not in tables:
            raise SpecError(f"{name} has no table {table!r}", where=where, remedy=did_you_mean(table, tables))
        sql = tables[table].sql
        if sql is None:
            raise SpecError(f"{name}.{table} is taken as it is and has no SQL", where=where)
        return sql

    def _add(self, path: Path, cache: SpecCache) -> None:
        key = path.stem if path.suffix == ".yaml" else path.name
        try:
            self.sources[key] = cache.get(path) or self._parse(path, cache)
        except SpecError as error:
            self.broken[key] = error
        except Exception as error:  # noqa: BLE001 (whatever a file does, the others are read)
            self.broken[key] = cannot_be_checked(path, error)

    @staticmethod
    def _parse(path: Path, cache: SpecCache) -> Source:
        source, document = load_checked(path)
        cache.put(path, source, document)
        return source


def spec_files(folder: Path) -> list[Path]:
    """Spec files in the order of their names; ``.yml`` ones too, because they are told to be renamed."""
    if not folder.is_dir():
        return []
    names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith((".yaml", ".yml")))
    return [folder / name for name in names if not name.startswith(".")]
