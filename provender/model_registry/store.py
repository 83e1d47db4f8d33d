"""One model's versions and deployments under the storage root.

models/<model>/versions/<version>/          artifacts (:mod:`provender.model_registry.artifact`)
models/<model>/deployments/NNNNNNNN.json    what was deployed when (:mod:`provender.model_registry.deployments`)
models/<model>/runs/<run>.json              what a pipeline run ended in
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from provender.errors import ArtifactError
from provender.model_registry.artifact import ARTIFACT_FILE, Artifact, read_artifact
from provender.model_registry.deployments import Action, Deployment, DeploymentLog, State, before, fold
from provender.storage import Storage

_DECIDED = {Action.DEPLOY: "deployed", Action.REJECT: "rejected", Action.ROLLED_BACK: "rolled back"}


@dataclass(frozen=True)
class Version:
    """A version as a list shows it."""

    artifact: Artifact
    state: str
    """``serving``, ``trying N%``, ``deployed`` (once), ``rejected``, ``rolled back``, or ``trained``."""
    since: datetime | None
    """Since when it is in that state; None for ``trained``."""
    key: str
    """The newest partition key it was trained for; empty where no deployment says."""
    reason: str = ""


class ModelStore:
    """What is stored of one model."""

    def __init__(self, storage: Storage, model: str) -> None:
        self._storage = storage
        self.model = model
        self.log = DeploymentLog(storage, model)

    @property
    def uri(self) -> str:
        """The folder that training writes to."""
        return self._storage.uri(f"models/{self.model}")

    def state(self) -> State:
        """What serves, and what is being tried."""
        return fold(self.log.all())

    def artifact(self, version: str) -> Artifact:
        """Raises :class:`ArtifactError` if there is no such version."""
        if version not in self.version_names():
            raise ArtifactError(
                f"model {self.model} has no version {version!r}",
                where=f"{self.uri}/versions",
                not_affected="whatever serves now",
                remedy=f"provender models {self.model} lists the versions",
                model=self.model,
                version=version,
            )
        return read_artifact(self._storage.uri(self._folder(version)))

    def serving_artifact(self) -> Artifact | None:
        """The artifact of the version that serves: the next one's baseline."""
        version = self.state().version
        return self.artifact(version) if version else None

    def version_names(self) -> list[str]:
        """Every whole version. A folder without ``artifact.json`` is one that training did not finish."""
        folder = f"models/{self.model}/versions"
        return [
            name
            for name in self._storage.names(folder)
            if self._storage.exists(f"{folder}/{name}/{ARTIFACT_FILE}")
        ]

    def versions(self) -> list[Version]:
        """Every whole version, the one made last first."""
        log = self.log.all()
        found = [self._version(self.artifact(name), log) for name in self.version_names()]
        return sorted(found, key=lambda each: each.artifact.created, reverse=True)

    def previous(self) -> str | None:
        """The version that a rollback without a name goes to."""
        log = self.log.all()
        version = fold(log).version
        return before(log, version) if version else None

    def decided_keys(self) -> dict[str, str]:
        """Partition keys that had their model already, with what became of it."""
        return {
            each.key: _DECIDED[each.action] for each in self.log.all() if each.action in _DECIDED and each.key
        }

    def _version(self, artifact: Artifact, log: list[Deployment]) -> Version:
        mine = [each for each in log if each.version == artifact.version]
        key = max((each.key for each in mine), default="")
        if not mine:
            return Version(artifact, "trained", None, key)
        state, last = fold(log), mine[-1]
        if state.serving is not None and state.version == artifact.version:
            return Version(artifact, "serving", state.serving.at, key, state.serving.reason)
        if state.trying is not None and state.trying.version == artifact.version:
            return Version(artifact, f"trying {last.percent}%", last.at, key)
        left = [e for e in log if e.action is Action.ROLLBACK and e.previous == artifact.version]
        if left and left[-1].number > last.number:
            return Version(artifact, "rolled back", left[-1].at, key, f"back to {left[-1].version} by hand")
        return Version(artifact, _DECIDED.get(last.action, "deployed"), last.at, key, last.reason)

    def _folder(self, version: str) -> str:
        return f"models/{self.model}/versions/{version}"


def model_names(storage: Storage) -> list[str]:
    """Models of which anything is stored."""
    return storage.names("models")
