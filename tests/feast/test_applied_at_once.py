"""Several processes apply at the same moment, on a registry in a real Postgres."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from provender.errors import SpecError
from provender.feast.apply import apply
from provender.online.views import load_applied_views
from provender.settings import load_settings
from provender.storage import storage_at
from tests.feast.at_once import apply_at_once
from tests.feast.conftest import SETTINGS, SPEC, Shop
from tests.postgres import PASSWORD, PostgresServer
from tests.servers import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.redis]
HOW_MANY = 5
ENTITY = 'driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)'
HEAD = f"from datetime import timedelta\nfrom feast import Entity, FeatureView, ValueType\nimport provender\n{ENTITY}\n"
VIEW = (
    'v{n} = FeatureView(name="view_{n}", entities=[driver], ttl=timedelta(hours={hours}), '
    'schema=provender.schema("trips"), source=provender.source("trips"))\n'
)

MakeShop = Callable[..., Shop]


@pytest.fixture
def make_shop(
    tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> MakeShop:
    """Makes checkouts on one registry and one storage root. The registry's URL is in the environment only."""
    place = f"127.0.0.1:{postgres.port}/{postgres.new_database()}"
    monkeypatch.setenv("SHOP_REGISTRY", f"postgresql+psycopg://reader:{quote(PASSWORD, safe='')}@{place}")

    def make(name: str, *views: str, project: str = "shop") -> Shop:
        shop = Shop(tmp_path / name)
        settings = SETTINGS.replace("sqlite:///../state/registry.db", "${SHOP_REGISTRY}")
        settings = settings.replace("../state/storage", str(tmp_path / "storage"))
        settings = settings.replace("127.0.0.1:1", redis_server.address)
        shop.write("feature_store.yaml", settings.replace("project: shop", f"project: {project}"))
        shop.write("sources/trips.yaml", SPEC)
        shop.write("views/views.py", HEAD + "".join(views))
        return shop

    return make


def view(number: int, hours: int = 2) -> str:
    return VIEW.format(n=number, hours=hours)


def views_of(shop: Shop) -> dict[str, timedelta]:
    return {each.name: each.ttl for each in shop.store().list_feature_views()}


def jobs_views(shop: Shop) -> list[str]:
    settings = load_settings(shop.repo)
    return sorted(v.view for v in load_applied_views(storage_at(settings.storage_root), settings.project))


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_what_each_of_many_processes_adds_is_there_and_the_jobs_see_it(
    make_shop: MakeShop, attempt: int
) -> None:
    shops = [make_shop(str(n), view(n)) for n in range(HOW_MANY)]
    ended = apply_at_once(*[shop.repo for shop in shops])
    assert [each["code"] for each in ended] == [0] * HOW_MANY, ended
    assert sorted(views_of(shops[0])) == [f"view_{n}" for n in range(HOW_MANY)]
    assert jobs_views(shops[0]) == [f"view_{n}" for n in range(HOW_MANY)]


@pytest.mark.slow
def test_projects_that_share_a_new_registry_do_not_meet(make_shop: MakeShop) -> None:
    shops = [make_shop(str(n), view(n), project=f"shop{n}") for n in range(HOW_MANY)]
    ended = apply_at_once(*[shop.repo for shop in shops])
    assert [each["code"] for each in ended] == [0] * HOW_MANY, ended
    assert [sorted(views_of(shop)) for shop in shops] == [[f"view_{n}"] for n in range(HOW_MANY)]


def test_what_another_process_changed_since_this_one_began_stays(make_shop: MakeShop) -> None:
    first, second = make_shop("a", view(0), view(1), view(2)), make_shop("b", view(0), view(1), view(3))
    second_began = datetime.now(UTC)
    apply(first.repo, second_began - timedelta(days=1))
    # The second repo was never applied: for it, view 2 is what another process added, and it brings view 3.
    planned = apply(second.repo, second_began)
    assert planned.kept == ["= feature view view_2: as another process applied it"]
    assert sorted(views_of(first)) == jobs_views(first) == ["view_0", "view_1", "view_2", "view_3"]
    # The next one began later and knows of it: the registry is what its repo says.
    second.write("views/views.py", HEAD + view(0) + view(1, hours=5) + view(3))
    before_both = datetime.now(UTC)
    apply(second.repo)
    assert sorted(views_of(first)) == jobs_views(first) == ["view_0", "view_1", "view_3"]
    # A removal and a changed ttl of others stay too.
    first.write("views/views.py", HEAD + view(0, hours=9) + view(1) + view(2) + view(3))
    kept = apply(first.repo, before_both).kept
    assert [line.split(":")[0] for line in kept] == [
        "= feature view view_1",
        "= feature view view_2",
    ]
    assert views_of(first) == {f"view_{n}": timedelta(hours=h) for n, h in ((0, 9), (1, 5), (3, 2))}


def test_two_who_change_one_view_differently_are_told_and_nothing_is_registered(make_shop: MakeShop) -> None:
    first, second = make_shop("a", view(0)), make_shop("b", view(0, hours=8), view(1))
    apply(first.repo)
    began = datetime.now(UTC)
    first.write("views/views.py", HEAD + view(0, hours=3))
    apply(first.repo)
    with pytest.raises(SpecError, match="feature view view_0: another process changed it meanwhile"):
        apply(second.repo, began)
    assert views_of(first) == {"view_0": timedelta(hours=3)}
    assert apply(second.repo).kept == []
    assert views_of(first) == {"view_0": timedelta(hours=8), "view_1": timedelta(hours=2)}


def test_the_states_that_are_kept_are_those_of_a_day(make_shop: MakeShop) -> None:
    from provender.feast.merge import States, load_states

    shop = make_shop("a", view(0))
    for _ in range(3):
        apply(shop.repo)
    storage = storage_at(load_settings(shop.repo).storage_root)
    states = load_states(storage, "shop")
    assert len(states.known) == 4  # and the one before the first
    old = [(at - timedelta(days=3), state) for at, state in states.known]
    assert len(States(tuple(old)).and_then({}, {}).known) == 2
    assert json.loads(storage.read("applied/shop.states.json"))


def test_the_next_process_knows_what_the_last_one_applied(make_shop: MakeShop) -> None:
    """However soon it is started: what is gone from the repo goes from the registry."""
    shop = make_shop("a", view(0), view(1))
    for command in (
        ["provender", "--repo", str(shop.repo), "apply"],
        ["provender.feast.apply", "--repo", str(shop.repo)],
    ):
        shop.write("views/views.py", HEAD + view(0) + view(1))
        apply(shop.repo)
        shop.write("views/views.py", HEAD + view(0))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", *command], capture_output=True, text=True, check=True
        )
        assert "- feature view view_1" in done.stderr
        assert jobs_views(shop) == list(views_of(shop)) == ["view_0"]
