"""Back to an earlier version, by hand."""

from __future__ import annotations

from provender.errors import DeployError
from provender.model_registry.deployments import Action, Deployment
from provender.model_registry.store import ModelStore
from provender.rollout.deploy import Rollout
from provender.serving_backends.base import Served, ServingBackend
from provender.settings import Settings
from provender.specs.models.spec import Serving
from provender.storage import storage_at

_SERVED = (Action.DEPLOY, Action.ROLLBACK)


def roll_back(
    settings: Settings,
    backend: ServingBackend,
    model: str,
    serving: Serving,
    *,
    to: str | None,
    attempt: str,
) -> Deployment:
    """Puts the version ``to`` back; None: the one that served before the present one was deployed.

    It is served as it was then; one that never served, as ``serving`` says. What serves now serves on until the other
    one has answered its golden rows. Returns the document written. Raises :class:`DeployError` if there is nothing to
    go back to, or if the version does not load or predicts otherwise than when it was trained.
    """
    store = ModelStore(storage_at(settings.storage_root), model)
    version = to or store.previous()
    if version is None:
        raise DeployError(
            f"{model} has no version that served before the present one",
            where=f"{store.uri}/deployments",
            not_affected="whatever serves now",
            remedy=f"provender models {model} lists the versions; name one with --to",
            model=model,
        )
    before = _last_served(store, version)
    as_served = Served.from_document(model, before.serving) if before else None
    rollout = Rollout(
        settings=settings,
        backend=backend,
        model=model,
        version=version,
        key=before.key if before else "",
        attempt=attempt,
        serving=as_served.serving if as_served else serving,
        sources={},
        as_served=as_served,
    )
    percent: int | None = rollout.start_by_hand()
    while percent is not None:
        rollout.begin(percent)
        rollout.await_ready(percent)
        percent = rollout.put_back(percent)
    return store.log.all()[-1]


def _last_served(store: ModelStore, version: str) -> Deployment | None:
    mine = [each for each in store.log.all() if each.version == version and each.action in _SERVED]
    return mine[-1] if mine else None
