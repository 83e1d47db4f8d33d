"""Everything in ``deploy/`` is taken by the server with strict validation, and stands there as it was written."""

from __future__ import annotations

import pytest

from provender.clients.kubernetes_api import RefusedError
from tests.cluster.sandbox import KINDS, Sandbox
from tests.deploy.rendering import Rendered

pytestmark = pytest.mark.cluster


def test_every_object_of_deploy_is_there(box: Sandbox, rendered: Rendered) -> None:
    documents = [each for each in rendered.every_document if each["kind"] != "Namespace"]
    assert len(documents) > 25
    for document in documents:
        wanted = box.moved(document)
        path = KINDS[wanted["kind"]].path(wanted["metadata"]["namespace"], wanted["metadata"]["name"])
        there = box.api.send("GET", path)
        for part in ("data", "rules", "subjects"):
            assert there.get(part) == wanted.get(part), path


def test_applied_again_nothing_changes(box: Sandbox, rendered: Rendered) -> None:
    for document in rendered.every_document:
        if document["kind"] not in ("Namespace", "PersistentVolumeClaim"):
            first, second = box.apply(document), box.apply(document)
            assert first["metadata"].get("generation") == second["metadata"].get("generation")


def test_a_misspelt_field_of_a_manifest_is_refused(box: Sandbox, rendered: Rendered) -> None:
    (account, *_) = rendered.of_kind("ServiceAccount")
    with pytest.raises(RefusedError, match="automountServiceAccountTokens"):
        box.apply({**account, "automountServiceAccountTokens": False})
