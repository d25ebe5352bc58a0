"""The learning curves of an experiment in a file, drawn again only where what they show may have changed."""

import hashlib
import json
import warnings
import zlib
from importlib.metadata import version
from pathlib import Path

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.experiments import plotting
from velodrome.experiments.results.results import Results

# A PNG begins with eight bytes and one chunk of 25; it ends with an empty chunk.
_HEADER_BYTES = 33
_END = b"IEND\xaeB`\x82"


def write_learning_curves(results: Results, path: Path) -> None:
    """Draw learning curves as PNG; a picture that this program has drawn of the same trials stays as it is.

    Raises:
        ExperimentError: there is nothing to draw.
        OSError: the file cannot be written.
    """
    note = _note_of(results)
    if _is_kept(path, note):
        return
    from velodrome.experiments.plotting.figures import draw, figure_bytes

    with warnings.catch_warnings(record=True) as found:
        picture = figure_bytes(draw(results, "learning"), path.suffix)
    for warning in found:
        warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    # One with warnings, as of missing letters, is drawn again, for a font may be there then.
    write_whole(path, picture if found else picture[:_HEADER_BYTES] + note + picture[_HEADER_BYTES:])


def _is_kept(path: Path, note: bytes) -> bool:
    try:
        picture = path.read_bytes()
    except OSError:
        return False
    return picture[_HEADER_BYTES : _HEADER_BYTES + len(note)] == note and picture.endswith(_END)


def _note_of(results: Results) -> bytes:
    """PNG chunk of text with a digest of all that a picture depends on: trials by key, and what draws them."""
    drawing = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(Path(plotting.__file__).parent.glob("*.py"))
    ]
    trials = [(one.environment, one.agent, one.seed, one.status, one.key) for one in results.records]
    shown = [results.name, results.description, results.num_planned, repr(results.settings), results.notes, trials]
    source = json.dumps([version("velodrome"), version("matplotlib"), drawing, shown])
    content = b"tEXtvelodrome\0" + hashlib.sha256(source.encode()).hexdigest().encode()
    return (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
