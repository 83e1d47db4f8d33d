"""Reports of training sets, shown by Airflow's API server to whoever may read the model's DAG.

Registered as an ASGI application that builds itself at its first request: the plugin file is imported by every
Airflow process, and only one of them serves pages.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from provender.settings import load_settings
from provender.storage import storage_at
from provender.storage.readers import key_file
from provender.training_sets.folder import ROOT
from provender.training_sets.lockfile import LOCKFILE, REPORT_FILE
from provender_airflow.repo import deployed_repo
from provender_airflow.task_settings import google_key

_NAME, _ID = re.compile(r"[a-z][a-z0-9_]{0,62}"), re.compile(r"[0-9a-f]{16}")
_HEADERS = {
    # A report is one file without scripts; should a value in it ever look like one, it does not run.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]


class Reports:
    """``GET /<name>/<id>``: the report."""

    def __init__(self) -> None:
        self._app: Application | None = None

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if self._app is None:
            self._app = reports_app()
        await self._app(scope, receive, send)


def reports_app() -> Application:
    """The FastAPI application."""
    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException, Request
    from fastapi.responses import HTMLResponse

    app = FastAPI(title="provender reports", openapi_url=None)

    def show(name: str, set_id: str, request: Request, user: Any = Depends(get_user)) -> HTMLResponse:  # noqa: B008
        requires_access_dag("GET", param_dag_id=f"model__{name}")(request, user)
        page = read_report(name, set_id)
        if page is None:
            raise HTTPException(404, f"there is no training set {name} {set_id}")
        return HTMLResponse(page, headers=_HEADERS)

    # Annotations are texts here, and FastAPI looks them up among the module's names, where these are not.
    show.__annotations__ = {
        "name": str,
        "set_id": str,
        "request": Request,
        "user": Any,
        "return": HTMLResponse,
    }
    app.get("/{name}/{set_id}", response_class=HTMLResponse, response_model=None)(show)
    application: Application = app
    return application


def read_report(name: str, set_id: str) -> bytes | None:
    """The page; None if there is no such training set."""
    if not (_NAME.fullmatch(name) and _ID.fullmatch(set_id)):
        return None
    settings = load_settings(deployed_repo())
    key_file.set(google_key(settings))  # for this request: Airflow's API server works for others too
    storage = storage_at(settings.storage_root)
    folder = f"{ROOT}/{name}/{set_id}"
    if not (storage.exists(f"{folder}/{LOCKFILE}") and storage.exists(f"{folder}/{REPORT_FILE}")):
        return None
    return storage.read(f"{folder}/{REPORT_FILE}")
