"""What is written on one machine is its user's alone, unless the settings say ``private: false``.

The state folder holds data, passwords, tokens, Feast's registry and logs. Programs that other people wrote (the JVM,
Redis, Airflow) make their files as the process mask says, so the mask is what is set, and the folder is closed.
"""

from __future__ import annotations

import os
from contextlib import suppress

from provender.settings import Settings
from provender.storage.folders import PRIVATE_FOLDER

MASK = 0o077
"""Bits that no new file or folder has: everything for group and others."""


def keep_private(settings: Settings) -> None:
    """Set this process's mask, which its children inherit, and close the state folder to others.

    A state folder that others could enter is closed; one that belongs to somebody else is left as it is. A storage
    root elsewhere keeps the mode its owner gave it.
    """
    if not settings.private:
        return
    os.umask(os.umask(MASK) | MASK)
    with suppress(FileNotFoundError):  # whoever makes it makes it private
        found = settings.state_dir.stat()
        if found.st_uid == os.getuid() and found.st_mode & MASK:
            settings.state_dir.chmod(PRIVATE_FOLDER)
