from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provender.specs import views
from provender.specs.catalog import Catalog

Write = Callable[..., Path]

HEAD = """\
from feast import Entity, FeatureView, Field
import provender
driver = Entity(name="driver", join_keys=["driver"])
city = Entity(name="city")
"""


@pytest.fixture
def check(write: Write, repo: Path) -> Callable[..., list[str]]:
    """The problems of views files, given as their text; without the folder."""

    def run(*texts: str, head: str = HEAD) -> list[str]:
        write()
        (repo / "views").mkdir()
        for number, text in enumerate(texts):
            (repo / "views" / f"v{number}.py").write_text(head + text)
        found = views.check(repo, Catalog.load(repo))
        return [str(problem).replace(f"{repo}/views/", "") for problem in found]

    return run


Check = Callable[..., list[str]]


def test_views_that_fit_have_no_problems(check: Check) -> None:
    text = """\
per_city = FeatureView(name="c", entities=[city], schema=provender.schema("trips", "per_city"),
                       source=provender.source("trips", "per_city"))
rows = provender.source("trips", table="rows")
by_driver = FeatureView(name="d", entities=[driver], schema=[Field(name="fare", dtype=None)], source=rows)
"""
    assert check(text) == []


def test_a_repo_without_views_is_fine(write: Write, repo: Path) -> None:
    write()
    assert views.check(repo, Catalog.load(repo)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            's = provender.source("trip", "rows")',
            "v0.py:5: no source is called 'trip'; did you mean 'trips'?",
        ),
        (
            's = provender.schema("tripz", "rows")',
            "v0.py:5: no source is called 'tripz'; did you mean 'trips'?",
        ),
        ('s = provender.source(name="trip")', "v0.py:5: no source is called 'trip'; did you mean 'trips'?"),
        (
            's = provender.source("trips", "row")',
            "v0.py:5: source 'trips' has no table 'row'; did you mean 'rows'?",
        ),
        (
            's = provender.source("trips")',
            "v0.py:5: source 'trips' has several tables; write 'trips', and one of 'rows', 'per_city'",
        ),
        ("\nimport provender as p\np.source('x')", "v0.py:7: no source is called 'x'; there is trips"),
        ("from provender import source as s\ns('x')", "v0.py:6: no source is called 'x'; there is trips"),
        ("def f(:\n", "v0.py:5: not Python: invalid syntax; fix this line"),
        (
            'FeatureView(name="v", entities=[driver], source=provender.source("trips", "per_city"))',
            "v0.py:5: the entity's join key 'driver' is no key of table trips.per_city; its keys are city",
        ),
        (
            'FeatureView(name="v", entities=[], source=provender.source("trips", "rows"))',
            "v0.py:5: table trips.rows is keyed by driver, and no entity gives 'driver'; add an Entity with",
        ),
        (
            'FeatureView(name="v", entities=[driver],\n    schema=[Field(name="fair", dtype=None)],\n'
            '    source=provender.source("trips", "rows"))',
            "v0.py:6: table trips.rows has no column 'fair'; did you mean 'fare'?",
        ),
        (
            'd = Entity(name="d", join_keys=["driver"], value_type=ValueType.INT32)\n'
            'FeatureView(name="v", entities=[d], source=provender.source("trips", "rows"))',
            "v0.py:6: the entity's type is INT32, and key 'driver' of table trips.rows is INT64; write value_type=",
        ),
        (
            'FeatureView(name="v", entities=[driver], source=provender.source("trips", "rows"), schema=[\n'
            '    Field(name="fare", dtype=types.String)])',
            "v0.py:6: field 'fare' is declared String, and the column of table trips.rows is DOUBLE; write dtype=Fl",
        ),
        (
            'FeatureView(name="v", entities=[driver], source=provender.source("trips", "rows"), schema=[\n'
            '    Field(name="fare", dtype=Array(Float64))])',
            "v0.py:6: field 'fare' is declared Array, and the column of table trips.rows is DOUBLE",
        ),
        (
            'FeatureView(name="v", entities=[driver], source=FileSource(path="x.parquet"))',
            "v0.py:5: the view's source is a FileSource, which is not one of provender's",
        ),
        (
            'FeatureView(name="v", entities=[driver], source=provender.source("trips", "rows"),\n'
            '    aggregations=[Aggregation(column="fare")])',
            "v0.py:6: the view computes its features itself",
        ),
        (
            'FeatureService(name="s", features=[v, v[["fare"]].with_name("w")])',
            "v0.py:5: the service has view 'v' more than once under one name; give each its own name: view.with_name",
        ),
        ("x = " + "(" * 300 + ")" * 300, "v0.py:5: not Python: too many nested parentheses; fix this line"),
    ],
)
def test_what_does_not_fit_has_file_line_and_remedy(check: Check, text: str, expected: str) -> None:
    [found] = check(text)
    assert found.startswith(expected)


def test_a_view_may_be_in_a_service_twice_under_names_of_its_own(check: Check) -> None:
    assert check('FeatureService(name="s", features=[v.with_name("a"), v.with_name("b"), other])\n') == []


def test_columns_that_feast_calls_otherwise_are_left_to_apply(check: Check) -> None:
    text = """\
rows = provender.source("trips", "rows")
rows.field_mapping = {"fare": "price"}
FeatureView(name="v", entities=[driver], source=rows, schema=[Field(name="price", dtype=Float64)])
"""
    assert check(text) == []


def test_all_files_are_checked_in_one_go(check: Check) -> None:
    found = check('provender.source("a", "b")\n', "def f(:\n", 'provender.source("c", "d")\n')
    assert [line.split(":")[0] for line in found] == ["v0.py", "v1.py", "v2.py"]


def test_entities_may_come_from_another_file(check: Check) -> None:
    view = 'FeatureView(entities=[driver], source=provender.source("trips", "per_city"))\n'
    uses = "from views.v0 import driver\n" + view
    head = "from feast import Entity, FeatureView\nimport provender\n"
    found = check('driver = Entity(name="driver", join_keys=["driver"])\n', uses, head=head)
    assert found == [
        "v1.py:4: the entity's join key 'driver' is no key of table trips.per_city; its keys are city"
    ]


def test_what_is_computed_is_left_to_apply(check: Check) -> None:
    text = (
        "for n in names():\n    provender.source(n, n)\nFeatureView(entities=all_of_them(), source=made())\n"
    )
    assert check(text) == []


def test_other_peoples_source_functions_are_none_of_ours(check: Check) -> None:
    assert check('import other\nother.source("x")\nsource("y")\n') == []


def test_nothing_is_run(check: Check, tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    assert check(f"open({str(marker)!r}, 'w')\n") == []
    assert not marker.exists()


def test_a_view_of_a_broken_source_says_nothing_more(write: Write, repo: Path) -> None:
    write("lateness", "latness")
    (repo / "views").mkdir()
    (repo / "views" / "v.py").write_text('import provender\nprovender.source("trips", "rows")\n')
    assert views.check(repo, Catalog.load(repo)) == []
