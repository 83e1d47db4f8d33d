"""The pages: rendered here, with what the person who asks may read, and nothing else.

Registered as an ASGI application that builds itself at its first request: the plugin file is imported by every
Airflow process, and only one of them serves pages. Whoever may read a source's DAG sees the source. A run is triggered
by the browser, through Airflow's own API, as the person who is logged in: nothing here writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

from provender.errors import ProvenderError
from provender_airflow.pages import reading
from provender_airflow.pages.lineage import draw

_FOLDER = Path(__file__).parent
_STATIC = {"catalog.css": "text/css", "catalog.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
_SHOWN = 100
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]


class CatalogPages:
    """``/``, ``/features/<view:feature>``, ``/sources/<name>``, ``/models/<name>``."""

    def __init__(self) -> None:
        self._app: Application | None = None

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if self._app is None:
            self._app = catalog_app()
        await self._app(scope, receive, send)


def catalog_app() -> Application:
    """The FastAPI application."""
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, FastAPI, Request
    from fastapi.responses import HTMLResponse, Response

    app = FastAPI(title="provender catalog", openapi_url=None)
    user = Depends(get_user)

    def page(show: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., Any]:
        def answer(request: Request, user: Any = user, name: str = "") -> Any:
            return _page(show, request, user, name)

        # Annotations are texts here, and FastAPI looks them up among the module's names, where these are not.
        answer.__annotations__ = {"request": Request, "user": Any, "name": str, "return": HTMLResponse}
        return answer

    def static(name: str) -> Response:
        if name not in _STATIC:
            return Response(status_code=404)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=3600"}
        return Response((_FOLDER / "static" / name).read_bytes(), media_type=_STATIC[name], headers=headers)

    static.__annotations__ = {"name": str, "return": Response}
    get = partial(app.get, response_class=HTMLResponse, response_model=None)
    get("/")(page(_features))
    get("/sources")(page(_sources))
    get("/models")(page(_models))
    get("/features/{name}")(page(_feature))
    get("/sources/{name}")(page(_source))
    get("/models/{name}")(page(_model))
    app.get("/static/{name}", response_model=None)(static)
    application: Application = app
    return application


def _page(show: Callable[..., tuple[str, dict[str, Any]]], request: Any, user: Any, name: str) -> Any:
    """What ``show`` gives for what ``user`` may read; 404 for what there is not, or is not theirs to see."""
    from fastapi.responses import HTMLResponse

    status = 200
    try:
        rights = reading.rights_of(user)
        template, values = show(reading.catalog_for(rights), name, request.query_params, rights)
    except KeyError:
        status, template, values = (
            404,
            "problem.html",
            {"what": "There is no such page, or you may not read it."},
        )
    except ProvenderError as error:
        status, template, values = 503, "problem.html", {"what": error.what}
    base = str(request.scope.get("root_path", "")).rstrip("/")
    text = _template(template).render(base=base, airflow=base.removesuffix(reading.PREFIX), **values)
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def _template(name: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Every value is escaped: names, SQL and descriptions are other people's text.
    loader = FileSystemLoader(_FOLDER / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)


def _features(catalog: Any, name: str, query: Any, rights: Any) -> tuple[str, dict[str, Any]]:
    from provender.catalog import search

    del name, rights
    facets, chosen = reading.facets_of(query)
    found = search(catalog, query.get("q", ""), facets)
    options = {
        "source": sorted(catalog.sources),
        "owner": sorted({fact.owner for fact in catalog.features.values()}),
        "key": sorted({key for fact in catalog.features.values() for key in fact.keys}),
        "type": sorted({fact.type for fact in catalog.features.values()}),
        "tag": sorted({tag for fact in catalog.features.values() for tag in fact.tags}),
    }
    values = {"q": query.get("q", ""), "found": found[:_SHOWN], "count": len(found), "options": options}
    return "features.html", {**values, "chosen": chosen}


def _sources(catalog: Any, name: str, query: Any, rights: Any) -> tuple[str, dict[str, Any]]:
    del name, query, rights
    return "facts.html", {"title": "Sources", "kind": "sources", "facts": list(catalog.sources.values())}


def _models(catalog: Any, name: str, query: Any, rights: Any) -> tuple[str, dict[str, Any]]:
    del name, query, rights
    return "facts.html", {"title": "Models", "kind": "models", "facts": list(catalog.models.values())}


def _feature(catalog: Any, name: str, query: Any, rights: Any) -> tuple[str, dict[str, Any]]:
    del rights
    fact = catalog.features[name]
    keys = {key: query.get(f"key.{key}", "") for key in fact.keys}
    asked = all(keys.values())
    told, refused = reading.explained(fact, keys, query.get("at", "")) if asked else ([], "")
    values = {"fact": fact, "keys": keys, "at": query.get("at", ""), "told": told, "refused": refused}
    return "feature.html", {**values, "lineage": draw(catalog, fact)}


def _source(catalog: Any, name: str, query: Any, rights: Any) -> tuple[str, dict[str, Any]]:
    del query
    fact = catalog.sources[name]
    days = reading.calendar(name)
    return "source.html", {"fact": fact, "days": days, "may_trigger": rights.may_trigger(fact.dag)}


def _model(catalog: Any, name: str, query: Any, rights: Any) -> tuple[str, dict[str, Any]]:
    del query, rights
    return "model.html", {"fact": catalog.models[name]}
