"""Agents on disk: a JSON manifest and one .npz of arrays, with the SHA-256 of both in the manifest; no pickle.

An agent that replaces another is complete before it counts: its arrays are written under a name of their own, then
the manifest in one step, and only then do the arrays get their usual name. Whenever a program is killed in between, the
folder holds one of the two agents, whole.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.resuming.whole_files import write_whole
from velodrome.checks import VelodromeError
from velodrome.envs.array_files import ArrayFileError, read_arrays

FORMAT = "velodrome-agent"
FORMAT_VERSION = 1
MANIFEST, ARRAYS = "manifest.json", "arrays.npz"
MANIFEST_DIGEST = "manifest_sha256"
# Of a SHA-256, in the name of a file.
_DIGITS = 16


class SavedAgentError(VelodromeError, ValueError):
    """A saved agent is missing, damaged or foreign; the message is one line."""


def write_agent(directory: str | Path, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a manifest and arrays to `directory`, which is made if needed.

    An older agent there is replaced in one step: at any moment, even of a kill, one of the two is there, whole.

    Raises:
        SavedAgentError: an array of Python objects, which only pickle could write; or the folder cannot be written.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise SavedAgentError(f"{name}: an array of Python objects cannot be saved, only numbers and text")
    folder = Path(directory)
    buffer = io.BytesIO()
    # NumPy 2.0 would take `allow_pickle` for the name of an array.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    whole = {"format": FORMAT, "version": FORMAT_VERSION, "sha256": digest} | manifest
    whole[MANIFEST_DIGEST] = _digest_of(whole)
    under_way = folder / _own_name(digest[:_DIGITS])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(under_way, content)
        write_whole(folder / MANIFEST, json.dumps(whole, indent=2) + "\n")
        os.replace(under_way, folder / ARRAYS)
        for left_over in folder.glob(_own_name("[0-9a-f]" * _DIGITS)):
            left_over.unlink(missing_ok=True)
    except FileExistsError:
        raise SavedAgentError(f"{folder} is a file: an agent is saved in a folder of its own") from None
    except OSError as error:
        raise SavedAgentError(f"{folder}: the agent cannot be saved: {error.strerror or error}") from None


def read_agent(directory: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Manifest and arrays that `write_agent` wrote.

    Raises:
        SavedAgentError: a file is missing, is not what it should be, or does not match its SHA-256.
    """
    folder = Path(directory)
    manifest = _read_manifest(folder)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise SavedAgentError(f"{folder / MANIFEST} is not the manifest of a saved agent")
    if manifest.get("version") != FORMAT_VERSION:
        raise SavedAgentError(
            f"{folder / MANIFEST} has format version {manifest.get('version')!r}; this release reads {FORMAT_VERSION}"
        )
    # Agents that were saved before there was this digest have none.
    if MANIFEST_DIGEST in manifest and manifest[MANIFEST_DIGEST] != _digest_of(manifest):
        raise SavedAgentError(f"{folder / MANIFEST} is damaged: its SHA-256 is not the one that it holds")
    content = _read_arrays(folder, str(manifest.get("sha256")))
    try:
        return manifest, read_arrays(io.BytesIO(content))
    except ArrayFileError as error:
        raise SavedAgentError(f"{folder / ARRAYS} cannot be read: {error}") from None


def whole_number(entries: Mapping[str, Any], name: str, least: int = 0) -> int:
    """Return an entry of a manifest that must be a whole number.

    Raises:
        KeyError: there is none.
        ValueError: it is something else, or below `least`.
    """
    value = entries[name]
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, got {shown(value)}")
    return value


def arrays_under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _digest_of(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's entries without that digest itself."""
    entries = {name: value for name, value in manifest.items() if name != MANIFEST_DIGEST}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _read_manifest(folder: Path) -> Any:
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SavedAgentError(f"no saved agent in {folder}: {MANIFEST} is missing") from None
    except (OSError, ValueError) as error:
        raise SavedAgentError(f"{folder / MANIFEST} cannot be read: {error}") from None
    except RecursionError:
        raise SavedAgentError(f"{folder / MANIFEST} cannot be read: it is nested too deeply") from None


def _read_arrays(folder: Path, sha256: str) -> bytes:
    """The arrays with this digest, under their own name where a program was killed before it could rename them."""
    own_names = [_own_name(sha256[:_DIGITS])] if sha256.isalnum() else []
    names = [name for name in (*own_names, ARRAYS) if (folder / name).is_file()]
    if not names:
        raise SavedAgentError(f"no saved agent in {folder}: {ARRAYS} is missing")
    for name in names:
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise SavedAgentError(f"{folder / name} cannot be read: {error}") from None
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    raise SavedAgentError(f"{folder / ARRAYS} is damaged: its SHA-256 is not the manifest's")


def _own_name(digits: str) -> str:
    """Name of a file of arrays until the manifest that goes with it is there."""
    return f"arrays-{digits}.npz"
