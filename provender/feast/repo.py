"""Reading a feature repo's view files, as ``feast apply`` does: in its folder, as modules, and forgotten afterwards."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from feast.project import Project
from feast.repo_contents import RepoContents
from feast.repo_operations import parse_repo

from provender.errors import ProvenderError, SettingsError, SpecError
from provender.settings import Settings


def read_contents(settings: Settings) -> RepoContents:
    """The Feast objects that the repo's files define; inside :func:`in_repo`."""
    try:
        contents = parse_repo(settings.repo)
    except ProvenderError:
        raise
    except Exception as error:  # a user's file may raise anything
        raise SpecError(
            f"a file of the feature repo cannot be imported: {type(error).__name__}: {error}",
            where=_place(error, settings.repo),
            unharmed="the registry",
            remedy="provender validate",
        ) from error
    names = [project.name for project in contents.projects]
    if names not in ([], [settings.project]):
        raise SettingsError(
            f"the repo defines project {', '.join(names)}, its settings say {settings.project}",
            where=str(settings.repo),
            remedy="give them one name",
        )
    if not names:
        contents.projects.append(Project(name=settings.project))
    return contents


def _place(error: BaseException, repo: Path) -> str:
    """The last line of the repo's own files in an error's trace."""
    place = str(repo)
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(repo):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


@contextmanager
def in_repo(repo: Path) -> Iterator[None]:
    """Feast imports a repo's files as modules named by their path below the current directory.

    Afterwards they are forgotten: the next apply reads them anew, and another repo may have a ``views`` of its own.
    """
    before, wrote_bytecode = Path.cwd(), sys.dont_write_bytecode
    os.chdir(repo)
    sys.path.insert(0, str(repo))
    sys.dont_write_bytecode = True  # a file edited twice within a second must not be taken from its cache
    importlib.invalidate_caches()
    linecache.clearcache()  # Feast compares on-demand functions by their source text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        for name in [name for name, module in sys.modules.items() if _is_in(module, repo)]:
            del sys.modules[name]
        sys.dont_write_bytecode = wrote_bytecode
        sys.path.remove(str(repo))
        os.chdir(before)


def _is_in(module: ModuleType, repo: Path) -> bool:
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(place is not None and Path(str(place)).is_relative_to(repo) for place in places)
