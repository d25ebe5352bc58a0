"""How trials are run: versions, commit, command and machine, kept beside every result."""

import contextlib
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("velodrome", "gymnasium", "numpy", "numba", "scipy", "tensorflow", "keras")


def provenance(**run: Any) -> dict[str, Any]:
    """Description of this program, folder and machine, JSON-ready; `run` says how its trials are run."""
    return {
        "versions": package_versions(),
        "git": git_state(),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]] if sys.argv else [],
        "machine": {
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": available_cores(),
            "name": platform.node(),
        },
        "run": run,
    }


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results; those not installed are left out."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def git_state() -> dict[str, Any]:
    """Commit of the working folder and whether files differ from it; empty outside a repository."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit, "is_modified": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git(*arguments: str) -> str | None:
    try:
        # A repository's own settings may name a program that git is to run on every look at its files.
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
