"""The catalog's pages in a real Airflow application: who sees what, and what a browser may do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from provender.online.views import AppliedView, save_applied_views
from provender.settings import load_settings
from provender.storage import storage_at
from tests.airflow.conftest import CHECKOUT, SETTINGS, SPEC
from tests.airflow.per_dag_rights import user

pytestmark = pytest.mark.filterwarnings("ignore")
"""Airflow's application warns of itself while it is made."""
Client = Callable[[str], TestClient]
"""A browser in which somebody is logged in."""
OPEN, CLOSED = "features__open", "features__closed"


@pytest.fixture(scope="module")
def repo_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, a view over each."""
    repo = tmp_path_factory.mktemp("pages") / "feature_defs"
    (repo / "sources").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(SETTINGS)
    for name in ("open", "closed"):
        spec = SPEC.format(name=name, cadence="daily", start="2026-11-01")
        text = spec.replace("Trips of a day.", f'"Trips of the {name} kind, <script>alert(1)</script>"')
        (repo / "sources" / f"{name}.yaml").write_text(text)
    settings = load_settings(repo)
    views = [
        AppliedView(f"{name}_trips", name, "trips", {"driver_id": "INT64"}, {"fare": "DOUBLE"}, {}, True, 0.0)
        for name in ("open", "closed")
    ]
    save_applied_views(storage_at(settings.storage_root), settings.project, views)
    return repo


@pytest.fixture(scope="module")
def client(repo_of_two: Path) -> Iterator[Client]:
    """Airflow's own application with our plugin, a database with both DAGs, and an auth manager with rights per DAG."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVENDER_REPO", str(repo_of_two))
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "tests.airflow.per_dag_rights.PerDagRights")
        patch.setenv(
            "AIRFLOW__API_AUTH__JWT_SECRET",
            "of tests" * 16,
        )
        from airflow import plugins_manager, settings
        from airflow.api_fastapi import app as airflow_app

        patch.setattr(settings, "PLUGINS_FOLDER", str(CHECKOUT / "plugins"))
        patch.setattr(airflow_app._AuthManagerState, "instance", None)
        plugins_manager._get_plugins.cache_clear()
        plugins_manager.get_fastapi_plugins.cache_clear()
        _make_database()
        made = airflow_app.create_app("core")
        manager = made.state.auth_manager

        def log_in(name: str) -> TestClient:
            browser = TestClient(made, base_url="http://airflow")
            browser.cookies.set("_token", manager.generate_jwt(user(name)))
            return browser

        yield log_in


def _make_database() -> None:
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    import_all_models()
    with create_session() as session:
        Base.metadata.create_all(session.get_bind())
        session.merge(DagBundleModel(name="dags-folder"))
        session.flush()
        for dag_id in (OPEN, CLOSED):
            session.merge(DagModel(dag_id=dag_id, bundle_name="dags-folder", fileloc="features.py"))


def test_who_may_not_read_a_sources_dag_sees_no_name_of_it(client: Client) -> None:
    browser = client(f"reader:{OPEN}")
    pages = ["/", "/?q=trips", "/sources", "/models", "/features/open_trips:fare", "/sources/open"]
    for path in pages:
        answer = browser.get(f"/provender/catalog{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert "closed" not in answer.text, path
    for path in ("/sources/closed", "/features/closed_trips:fare", "/features/none"):
        answer = browser.get(f"/provender/catalog{path}")
        assert answer.status_code == 404
        assert "closed" not in answer.text


def test_who_may_read_both_sees_both(client: Client) -> None:
    text = client(f"reader:{OPEN},{CLOSED}").get("/provender/catalog/").text
    assert "open_trips:fare" in text and "closed_trips:fare" in text


def test_the_button_that_runs_is_for_who_may_trigger(client: Client) -> None:
    path = "/provender/catalog/sources/open"
    assert f'data-dag="{OPEN}"' not in client(f"reader:{OPEN}").get(path).text
    assert f'data-dag="{OPEN}"' in client(f"runner:{OPEN}").get(path).text
    answer = client(f"reader:{OPEN}").post(f"/api/v2/dags/{OPEN}/dagRuns", json={"logical_date": None})
    assert answer.status_code == 403


def test_nobody_sees_a_page_without_a_login(client: Client) -> None:
    browser = client(f"reader:{OPEN}")
    browser.cookies.clear()
    assert browser.get("/provender/catalog/").status_code == 401


def test_nothing_that_is_shown_can_run(client: Client) -> None:
    answer = client(f"reader:{OPEN}").get("/provender/catalog/sources/open")
    assert "<script>alert" not in answer.text and "&lt;script&gt;alert" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    searched = client(f"reader:{OPEN}").get(
        "/provender/catalog/", params={"q": '"><img src=x onerror=alert(1)>'}
    )
    assert "<img" not in searched.text


def test_a_value_is_explained_on_its_page(client: Client) -> None:
    path = "/provender/catalog/features/open_trips:fare"
    text = client(f"reader:{OPEN}").get(path, params={"key.driver_id": "7"}).text
    assert "no version of this key" in text and "provender explain open_trips:fare --key driver_id=7" in text
    wrong = client(f"reader:{OPEN}").get(path, params={"key.driver_id": "seven"}).text
    assert "driver_id of view open_trips is INT64" in wrong


def test_styles_and_script_are_airflows_own_servers(client: Client) -> None:
    browser = client(f"reader:{OPEN}")
    for name, kind in (("catalog.css", "text/css"), ("catalog.js", "text/javascript")):
        answer = browser.get(f"/provender/catalog/static/{name}")
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(kind)
    assert browser.get("/provender/catalog/static/app.py").status_code == 404
