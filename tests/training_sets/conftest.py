"""The feature repo of the Feast tests, and training sets built from files of entity rows."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provender.feast.apply import apply
from provender.feast.training_set import build
from provender.settings import Settings, load_settings
from provender.training_sets.folder import TrainingSet
from provender.training_sets.request import Request
from tests.feast.conftest import Shop, written_shop
from tests.point_in_time.logs import at

FEATURES = ("driver_trips:trips", "driver_trips:rate")


@dataclass
class Builder:
    """Builds training sets in a shop."""

    shop: Shop

    @property
    def settings(self) -> Settings:
        return load_settings(self.shop.repo)

    def entities(self, *rows: tuple[int, float, int]) -> str:
        """A CSV file of (driver, minute, label) rows; its path."""
        path = self.shop.root / f"rows-{len(rows)}-{abs(hash(rows))}.csv"
        lines = [f"{driver},{at(minute).isoformat()},{label}" for driver, minute, label in rows]
        path.write_text("\n".join(["driver_id,event_timestamp,tip", *lines]))
        return str(path)

    def build(self, *rows: tuple[int, float, int], **asked: Any) -> TrainingSet:
        given = {"features": FEATURES, "label": "tip", **asked}
        request = Request("tips", self.entities(*rows), **given)
        return build(self.settings, request, f"test-{secrets.token_hex(4)}")


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo, applied once for all tests."""
    shop = written_shop(tmp_path_factory.mktemp("applied"))
    apply(shop.repo)
    return shop.root


@pytest.fixture
def shop(applied: Path, tmp_path: Path) -> Shop:
    """A copy of its own."""
    shutil.copytree(applied, tmp_path / "shop")
    return Shop(tmp_path / "shop")


@pytest.fixture
def builder(shop: Shop) -> Builder:
    return Builder(shop)


def files(folder: Path) -> set[str]:
    """Names of the files under ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
