"""The files under a folder, those in linked folders too: data often lie on another disk.

Each folder is entered once, under its own name if it lies below the root and under the first link
to it otherwise, so that links in a circle come to an end and no image is listed twice by a link.
What cannot be listed is told in the log: links to nothing, folders without the right to read.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def files_under(folder: Path) -> list[Path]:
    """Return the paths of all visible files under `folder`, relative to it, sorted.

    Names that begin with a dot are left out, with all that is in such a folder.
    """
    folder = Path(folder)
    files: list[Path] = []
    dead: list[Path] = []
    closed: list[OSError] = []
    entered: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        # links wait until every folder that lies here by itself has been entered
        links: list[Path] = []
        for start in waiting:
            for place, folders, names in os.walk(start, onerror=closed.append):
                if not _is_new(Path(place), entered):
                    folders.clear()
                    continue
                links += [Path(place, f) for f in _visible(folders) if Path(place, f).is_symlink()]
                folders[:] = _visible(folders)
                for path in (Path(place, name) for name in _visible(names)):
                    (files if path.is_file() else dead if path.is_symlink() else []).append(path)
        waiting = sorted(links)
    if dead:
        logger.warning("%d links lead to no file and are left out, first %s", len(dead), min(dead))
    if closed:
        logger.warning("%d folders cannot be read, first: %s", len(closed), closed[0])
    return sorted(path.relative_to(folder) for path in files)


def _visible(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _is_new(place: Path, entered: set[tuple[int, int]]) -> bool:
    status = place.stat()
    key = (status.st_dev, status.st_ino)
    new = key not in entered
    entered.add(key)
    return new
