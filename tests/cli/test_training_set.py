from __future__ import annotations

import pytest

from provender.cli.main import main
from tests.feast.conftest import Shop, version
from tests.training_sets.conftest import Builder, applied, builder, shop

__all__ = ["applied", "builder", "shop"]


def run(shop: Shop, *arguments: str) -> int:
    return main(["--repo", str(shop.repo), "training-set", *arguments])


def test_built_listed_verified_compared_and_shown(
    builder: Builder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = builder.shop
    shop.ingest(version(1, 10, 0), recorded=500)
    entities = builder.entities((1, 20, 0), (1, 30, 1))
    build = (
        "build",
        "--entities",
        entities,
        "--features",
        "driver_trips:trips",
        "--name",
        "tips",
        "--label",
        "tip",
    )
    ids = []
    for minute in (5, 6):
        assert run(shop, *build) == 0
        ids.append(capsys.readouterr().out.splitlines()[0])
        shop.ingest(version(1, 10 + minute, minute), recorded=500 + minute)
    assert run(shop, "list", "tips") == 0
    assert [line[:16] for line in capsys.readouterr().out.splitlines()] == ids[::-1]
    assert run(shop, "verify", ids[0]) == 0
    assert "agrees with its lockfile" in capsys.readouterr().out
    assert run(shop, "diff", ids[0], ids[1]) == 1
    assert "explains 2 rows" in capsys.readouterr().out
    assert run(shop, "diff", ids[0], ids[0]) == 0
    capsys.readouterr()
    assert run(shop, "report", ids[0]) == 0
    assert capsys.readouterr().out.endswith(f"{ids[0]}/report.html\n")


def test_neither_model_nor_rows_is_an_error_with_the_command(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "build") == 3
    assert "build MODEL [KEY]" in capsys.readouterr().err
    assert run(shop, "verify", "0123456789abcdef") == 3
    assert "provender training-set list" in capsys.readouterr().err
    assert run(shop, "list") == 0
    assert "no training set yet" in capsys.readouterr().out
