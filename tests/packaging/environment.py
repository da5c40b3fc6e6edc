"""A fresh environment with a wheel in it, and commands run there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Environment:
    """A virtual environment beside the checkout, whose commands see nothing of it.

    Attributes
    ----------
    folder : of the environment
    work : folder that commands run in, with the user's folders below it
    variables : environment variables beside those of this process
    """

    folder: Path
    work: Path
    variables: dict[str, str] = field(default_factory=dict)

    def create(self) -> None:
        """Make it, with pip and nothing else."""
        self.work.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in `work`; its exit code is for the caller to judge."""
        program = self.folder / "bin" / str(command[0])
        arguments = [str(part) for part in command[1:]]
        return subprocess.run(
            [str(program), *arguments],
            cwd=self.work,
            env=self._variables() | variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def json(self, *command: str | Path, **variables: str) -> Any:
        """Run a command with `--json` and return what it printed; it must succeed."""
        done = self.run(*command, "--json", **variables)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
        return json.loads(done.stdout)

    def install(self, *what: str | Path) -> None:
        """Install by pip with the pinned versions."""
        done = self.run("python", "-m", "pip", "install", "--no-compile", "-q", "-c", ROOT / "constraints.txt", *what)
        assert done.returncode == 0, done.stderr

    def packages(self) -> set[str]:
        """Names of the installed distributions, lower case."""
        done = self.run("python", "-m", "pip", "list", "--format=json")
        return {entry["name"].lower() for entry in json.loads(done.stdout)}

    def _variables(self) -> dict[str, str]:
        hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        kept = {
            name: value for name, value in os.environ.items() if name not in hidden and not name.startswith("SMZOO")
        }
        own = {
            "SMZOO_DATA_DIR": str(self.work / "data"),
            "SMZOO_CACHE_DIR": str(self.work / "cache"),
        }
        return kept | own | self.variables


def build_wheel(source: Path, target: Path) -> Path:
    """Build the wheel of a project with this environment's hatchling; `target` must hold no other wheel of it."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return max(target.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)
