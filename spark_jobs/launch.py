"""The main program of an application on a cluster, which wants a file: runs one of our modules as ``python -m`` does.

    launch.py [--env NAME=VALUE | --secret NAME=projects/P/secrets/S/versions/V]… MODULE [ARGUMENT]…

A secret is read from Google's Secret Manager with the application's own identity, so that it is neither in the
application's description nor in its Spark settings.
"""

from __future__ import annotations

import base64
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from provender.errors import ProvenderError, TerminalError, TransientError
from provender.failures import report
from provender.logs import logging_to_stderr

_SECRET_MANAGER = "https://secretmanager.googleapis.com/v1"
_CLOUD = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_SECONDS = 30
_AGAIN = (408, 429)


def main(argv: Sequence[str]) -> int:
    """Runs ``argv``; the module's own ``sys.exit`` passes through."""
    rest = list(argv)
    try:
        while rest and rest[0] in ("--env", "--secret"):
            name, _, value = rest[1].partition("=")
            os.environ[name] = secret(value) if rest[0] == "--secret" else value
            del rest[:2]
        _forget_own_folder()
        module, sys.argv[1:] = rest[0], rest[1:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except ProvenderError as error:  # settings or a secret that are not available, say
        with logging_to_stderr():
            return report(error)
    return 0


def secret(name: str, *, host: str = _SECRET_MANAGER) -> str:
    """The text of one version of a secret. Raises :class:`TransientError` and :class:`TerminalError`."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, _ = google.auth.default(scopes=[_CLOUD])
        session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        answer = session.get(f"{host}/{name}:access", timeout=_TIMEOUT_SECONDS)
    except DefaultCredentialsError as error:
        raise TerminalError(f"no Google credentials to read a secret with: {error}", where=name) from error
    except (GoogleAuthError, OSError) as error:
        raise TransientError(f"Secret Manager cannot be reached: {error}", where=name) from error
    if answer.status_code in _AGAIN or answer.status_code >= 500:
        raise TransientError(f"Secret Manager cannot answer now: {answer.status_code}", where=name)
    if answer.status_code != 200:
        raise TerminalError(
            f"Secret Manager refuses the secret: {answer.status_code}",
            where=name,
            remedy="give the application's service account roles/secretmanager.secretAccessor on it",
        )
    return base64.b64decode(answer.json()["payload"]["data"]).decode()


def _forget_own_folder() -> None:
    """Python puts a script's folder on its path: ``entry`` and ``ingest`` would be modules of their own."""
    here = Path(__file__).parent
    sys.path[:] = [each for each in sys.path if not each or Path(each).resolve() != here.resolve()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
