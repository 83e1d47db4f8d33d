"""What Google's clients raise, whichever service it was."""

from __future__ import annotations

from provender.errors import SettingsError

_MOST = 300


def no_credentials(error: Exception, where: str) -> SettingsError:
    """For a ``GoogleAuthError``."""
    return SettingsError(
        f"no usable Google credentials: {first_line(error)}",
        where=where,
        not_affected="everything",
        remedy="set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file, or use workload identity",
    )


def first_line(error: Exception) -> str:
    """Of the error's text; its name where there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0][:_MOST]
