"""The password of the Redis that ``provender up`` runs on this machine.

It is made when that Redis first starts and stands in its configuration file only, ``<state_dir>/redis/redis.conf``,
which its user alone may read. Whoever connects to that address without a password of their own gets it from there:
our settings, and Feast's Redis online store.
"""

from __future__ import annotations

from pathlib import Path

_LOCAL_HOSTS = ("127.0.0.1", "localhost")


def config_file(state_dir: Path) -> Path:
    """The configuration of this machine's Redis, whether it is there or not."""
    return state_dir / "redis" / "redis.conf"


def password_in(config: Path) -> str:
    """Return ``requirepass`` of a configuration file; empty if there is none, or no such file."""
    return _options(config).get("requirepass", "")


def with_password(connection_string: str, state_dir: Path) -> str:
    """Return Feast's ``connection_string`` with the password, where it names this machine's Redis and has none."""
    host, _, port = connection_string.split(",")[0].strip().rpartition(":")
    if host not in _LOCAL_HOSTS or ",password=" in connection_string or "cluster=" in connection_string:
        return connection_string
    options = _options(config_file(state_dir))
    if options.get("port") != port or not options.get("requirepass"):
        return connection_string
    return f"{connection_string},password={options['requirepass']}"


def _options(config: Path) -> dict[str, str]:
    try:
        lines = config.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition(" ") for line in lines)}
