"""All models of a feature repo: ``<repo>/models/*.yaml``. A file that is wrong does not hide the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from provender.errors import SpecError
from provender.specs.catalog import Catalog, spec_files
from provender.specs.models.checks import check_model
from provender.specs.models.loader import read_model
from provender.specs.models.spec import ModelSpec
from provender.specs.problems import Problem, cannot_be_checked, did_you_mean, shown_path, to_error
from provender.specs.source import Source
from provender.specs.view_index import ViewIndex, index_views

MODELS_FOLDER = "models"


@dataclass(frozen=True)
class ModelCatalog:
    """The models of a repo, by name, and the sources and views they stand on."""

    sources: Catalog
    models: dict[str, ModelSpec] = field(default_factory=dict)
    broken: dict[str, SpecError] = field(default_factory=dict)
    """File stem to everything that is wrong with the file, and with how it fits the rest."""
    warnings: list[Problem] = field(default_factory=list)
    """What runs, and may surprise."""

    @classmethod
    def load(cls, repo: Path, sources: Catalog | None = None) -> ModelCatalog:
        """Reads every model of ``repo``. Raises :class:`provender.errors.SettingsError` if the settings are broken."""
        catalog = cls(sources or Catalog.load(repo))
        for path in spec_files(catalog.repo / MODELS_FOLDER):
            catalog._add(path)
        return catalog

    @property
    def repo(self) -> Path:
        return self.sources.repo

    @cached_property
    def views(self) -> ViewIndex:
        """What the views' files define."""
        return index_views(self.repo, self.sources)

    def model(self, name: str) -> ModelSpec:
        """The model called ``name``. Raises :class:`SpecError`: its own errors, or that there is none."""
        if name in self.models:
            return self.models[name]
        if name in self.broken:
            raise self.broken[name]
        known = [*self.models, *self.broken]
        raise SpecError(
            f"no model is called {name!r}",
            where=shown_path(self.repo / MODELS_FOLDER),
            remedy=did_you_mean(name, known),
        )

    def path_of(self, name: str) -> Path:
        """The spec file of model ``name``."""
        return self.repo / MODELS_FOLDER / f"{name}.yaml"

    def sql_of(self, name: str) -> str:
        """The SQL text of the model's entity rows. Raises :class:`SpecError` if it has none."""
        sql = self.model(name).entities.sql
        if sql is None:
            raise SpecError(
                f"the entity rows of {name} come from a file, not from SQL", where=str(self.path_of(name))
            )
        path = self.repo / MODELS_FOLDER / sql
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"cannot read the SQL of {name}: {error}", where=shown_path(path)) from error

    def references_of(self, spec: ModelSpec) -> tuple[str, ...]:
        """The model's features as ``view:feature``."""
        return spec.features or self.views.services[spec.feature_service or ""]

    def sources_of(self, spec: ModelSpec) -> dict[str, Source]:
        """The sources the model stands on, by name: its features', and its entity rows'."""
        views = {reference.partition(":")[0] for reference in self.references_of(spec)}
        found = [self.views.views[view].source for view in sorted(views)]
        if spec.entities.source is not None:
            found.append(self.sources.source(spec.entities.source))
        return {source.name: source for source in sorted(found, key=lambda source: source.name)}

    def _add(self, path: Path) -> None:
        key = path.stem if path.suffix == ".yaml" else path.name
        try:
            spec, document = read_model(path)
            self.warnings.extend(check_model(document, self.sources, self.views))
        except Exception as error:  # noqa: BLE001 (whatever a file does, the others are read)
            self.broken[key] = cannot_be_checked(path, error)
            return
        if spec is None or document.problems:
            self.broken[key] = to_error(document.problems)
        else:
            self.models[key] = spec
