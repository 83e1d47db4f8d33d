"""Stands in for ``kubectl`` and ``gcloud`` where a script of ours runs them: notes what it was told."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.engine import CHECKOUT

_KUBECTL = r"""#!/bin/bash
printf '%s\n' "kubectl $*" >>"$NOTES/arguments"
case $1 in
create)
  case "$*" in */dev/stdin*) cat >"$NOTES/$6.$4" ;; *) : >"$NOTES/$6.$4" ;; esac
  echo "made $6.$4" ;;
apply) cat >>"$NOTES/applied" ;;
esac
"""
_GOOGLE = r"""#!/bin/bash
# What is described must have been made before.
printf '%s\n' "${0##*/} $*" >>"$NOTES/arguments"
known() { grep -qxF "$1" "$NOTES/made" 2>/dev/null; }
kind= previous=
for word in "$@"; do
  name="$kind ${word%%@*}"
  case $previous in
  describe) if [ "$kind" = projects ]; then echo 123; else known "$name"; fi; exit ;;
  --dataset) if [[ $* == *" show "* ]]; then known "$word"; else echo "$word" >>"$NOTES/made"; fi; exit ;;
  create) echo "$name" >>"$NOTES/made" ;;
  esac
  if [ "$word" = describe ] || [ "$word" = create ]; then kind=$previous; fi
  previous=$word
done
"""


@dataclass(frozen=True)
class Commands:
    """A folder of commands, and what they noted."""

    folder: Path

    def install(self) -> Commands:
        for name, text in {"kubectl": _KUBECTL, "gcloud": _GOOGLE, "bq": _GOOGLE}.items():
            path = self.folder / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (self.folder / "notes").mkdir()
        return self

    def run(self, script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """A script of ``deploy/`` with nothing but these variables."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, "NOTES": str(self.folder / "notes"), **environment}
        return subprocess.run(
            [CHECKOUT / "deploy" / script], env=variables, capture_output=True, text=True, check=False
        )

    def note(self, name: str) -> str:
        """``arguments``: of all calls; ``applied``; or ``NAMESPACE.SECRET``: what was given by standard input."""
        path = self.folder / "notes" / name
        return path.read_text() if path.exists() else ""

    @property
    def secrets(self) -> dict[tuple[str, str], set[str]]:
        """(namespace, name) of each secret that was made, and its keys."""
        found: dict[tuple[str, str], set[str]] = {}
        for line in self.note("arguments").splitlines():
            words = line.split()
            if words[1] == "create":
                given = [word.split("=")[1] for word in words if word.startswith("--from-file=")]
                lines = self.note(f"{words[6]}.{words[4]}").splitlines() if not given else []
                found[words[6], words[4]] = {*given, *(each.split("=")[0] for each in lines)}
        return found
