"""Reading a feature repo's view files, as ``feast apply`` does: in its folder, as modules, and forgotten afterwards."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from feast.project import Project
from feast.repo_contents import RepoContents
from feast.repo_operations import parse_repo

from provender.errors import ProvenderError, SettingsError, SpecError
from provender.settings import Settings

_ENDS = ("_exit", "abort", "execv", "execve")
"""Functions of ``os`` after which nothing more of a program runs; the other forms of exec call these two."""


def read_contents(settings: Settings) -> RepoContents:
    """The Feast objects that the repo's files define; inside :func:`in_repo`."""
    try:
        with _without_ends(), redirect_stdout(sys.stderr):
            contents = parse_repo(settings.repo)
    except (ProvenderError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise SpecError(
            "a file of the feature repo ends the program when it is imported",
            where=_place(error, settings.repo),
            not_affected="the registry",
            remedy="remove the call there (sys.exit, os._exit, exec…): definitions are imported to be registered",
        ) from error
    except BaseException as error:  # a user's file may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise SpecError(
            f"a file of the feature repo cannot be imported: {reason[:500]}",
            where=_place(error, settings.repo),
            not_affected="the registry",
            remedy="correct that line, then: provender apply",
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


@contextmanager
def _without_ends() -> Iterator[None]:
    """Calls that end or replace the process raise ``SystemExit`` in the block: none can end it as a success."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise SystemExit("a definition may not end the program")

    kept = {name: getattr(os, name) for name in _ENDS}
    for name in _ENDS:
        setattr(os, name, refuse)
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(os, name, function)


def _place(error: BaseException, repo: Path) -> str:
    """The last line of the repo's own files in an error's trace."""
    place = str(repo)
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(repo):
        return f"{error.filename}:{error.lineno}"
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

    Afterwards they are forgotten: the next apply reads them again, and another repo may have a ``views`` of its own.
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
    # Compared as texts: thousands of modules are looked at, and making paths of them took a fifth of an apply.
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(f"{place}/".startswith(f"{repo}/") for place in places)
