"""Everything that is wrong with a repo's definitions, told from their texts: what ``validate`` prints.

``apply`` asks for the part that concerns what it registers, so that it refuses nothing from a text that ``validate``
would pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from provender.settings import Settings
from provender.specs import views
from provender.specs.catalog import Catalog
from provender.specs.models import ModelCatalog
from provender.specs.problems import Problem, did_you_mean
from provender.specs.sql_outputs import table_findings


@dataclass(slots=True)
class Findings:
    """Lines ``file:line: what; remedy``."""

    problems: list[str] = field(default_factory=list)
    """What apply or the first ingest would refuse."""
    warnings: list[str] = field(default_factory=list)
    """What runs, and may surprise."""


def find_all(settings: Settings, models: ModelCatalog) -> Findings:
    """Of sources, their SQL, the views, the models, and the settings that they name."""
    catalog = models.sources
    found = Findings([line for error in catalog.broken.values() for line in str(error).splitlines()])
    of_sql = find_in_sql(catalog, catalog.sources)
    found.problems += of_sql.problems
    found.problems += map(str, views.check(catalog.repo, catalog))
    found.problems += [line for error in models.broken.values() for line in str(error).splitlines()]
    found.problems += unknown_connections(settings, catalog)
    found.warnings += [*of_sql.warnings, *map(str, models.warnings)]
    return found


def find_in_sql(catalog: Catalog, names: Iterable[str]) -> Findings:
    """Of the SQL of the derived tables of the sources ``names``."""
    found = Findings()
    for name in names:
        source = catalog.source(name)
        for table in (each for each in source.tables if each.is_derived):
            path = catalog.sql_path_of(name, table.name)
            findings = table_findings(catalog.sql_of(name, table.name), source, table, path)
            found.problems += map(str, findings.problems)
            found.warnings += map(str, findings.warnings)
    return Findings(list(dict.fromkeys(found.problems)), list(dict.fromkeys(found.warnings)))


def unknown_connections(settings: Settings, catalog: Catalog) -> Iterator[str]:
    """Of sources in databases that the settings do not know."""
    for name, source in catalog.sources.items():
        sql = source.raw.sql
        if sql is not None and sql.connection not in settings.connections:
            path = catalog.path_of(name)
            lines = path.read_text(encoding="utf-8").splitlines()
            at = next((number for number, text in enumerate(lines, 1) if "connection" in text), 1)
            what = (
                f"raw.sql.connection: {sql.connection!r} is not under provender.connections in the settings"
            )
            yield str(Problem(path, at, what, did_you_mean(sql.connection, settings.connections)))
