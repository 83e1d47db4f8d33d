"""A new feature repo: the files of ``template/`` with names and days put in, and sample data beside them.

The sample is a week of generated taxi rides up to yesterday (UTC): ``raw/rides/<day>.csv`` with ``ride_id``, ``city``,
``fare`` and ``finished_at``, the same for the same days.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from provender.errors import SetupError

SAMPLE_DAYS = 7
RIDES_A_DAY = 200
_CITIES = {"Bergen": 14.0, "Oslo": 18.0, "Tromso": 11.0}
"""City to what a ride costs on average."""
_SUFFIX = ".template"
_NAMES = {"gitignore": ".gitignore"}
_PROJECT = re.compile(r"[a-z][a-z0-9_]{0,62}")


def write_repo(folder: Path, project: str | None = None, today: date | None = None) -> list[Path]:
    """Write the repo into ``folder`` and return the files, relative to it.

    ``project`` defaults to the folder's name in letters that a project may have; ``today`` to the UTC date. Raises
    :class:`SetupError` if the folder is not empty or cannot be written, or the project's name cannot be.
    """
    name = _project_name(folder, project)
    _require_empty(folder)
    days = _days(today or datetime.now(UTC).date())
    values = {"project": name, "first": days[0].isoformat(), "last": days[-1].isoformat()}
    contents = {**dict(_filled(values)), **{f"raw/rides/{day}.csv": _rides(day) for day in days}}
    for path, text in contents.items():
        _write(folder / path, text)
    return [Path(path) for path in contents]


def _project_name(folder: Path, project: str | None) -> str:
    name = project or re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")
    if not _PROJECT.fullmatch(name):
        raise SetupError(
            f"{name!r} cannot be a project's name: a lowercase letter, then letters, digits and _",
            remedy="name it: provender init DIR --project NAME",
        )
    return name


def _require_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(
            "there is something already",
            where=str(folder.resolve()),
            not_affected="nothing was written",
            remedy="name a new folder, or an empty one",
        )


def _days(today: date) -> list[date]:
    return [today - timedelta(days=back) for back in range(SAMPLE_DAYS, 0, -1)]


def _filled(values: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Path in the repo to text, of each template."""
    for path, template in _templates(files("provender.cli") / "template", PurePosixPath()):
        text = template.read_text(encoding="utf-8")
        yield str(path.with_name(_NAMES.get(path.name, path.name))), Template(text).substitute(values)


def _templates(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _templates(entry, at / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield at / entry.name.removesuffix(_SUFFIX), entry


def _rides(day: date) -> str:
    """A day's file. Prices are around the city's average, and nights cost more."""
    chance = random.Random(day.toordinal())
    lines = ["ride_id,city,fare,finished_at"]
    for number in range(RIDES_A_DAY):
        city = chance.choice(list(_CITIES))
        second = chance.randrange(86_400)
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
        night = 1.5 if at.hour < 5 or at.hour > 21 else 1.0
        fare = chance.gauss(_CITIES[city], 4.0) * night
        lines.append(f"{day:%Y%m%d}{number:04d},{city},{max(fare, 3.0):.2f},{at:%Y-%m-%dT%H:%M:%SZ}")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(
            f"a file cannot be written: {error.strerror}",
            where=str(path),
            remedy="make room or change the permissions, remove the folder, then run the same command again",
        ) from error
