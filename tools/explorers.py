"""Write the data of the explorers that run a model's numbers in the page.

    python -m tools.explorers            # all: a minute on one core
    python -m tools.explorers scenes     # one of them

Each file in book/_static/explorers is a script that hands one object to the explorers. Its first
line says what it was made from: the hash of the file that makes it and of the manifests of the
shipped models. A test compares the stamps, and some of the data with the models. The
verdict board has no file here: its data are made from results/ at each build (`verdict_board`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools import explorer_data, explorer_figures, explorer_metrics, explorer_words

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("book", "_static", "explorers")
# by name: what makes the data, and the shipped models that it reads
DATA: dict[str, tuple[Callable[[], dict[str, Any]], tuple[str, ...]]] = {
    "scenes": (explorer_data.scenes, explorer_data.MODELS),
    "towers": (explorer_data.towers, (explorer_data.LIVE,)),
    "sprites": (explorer_data.sprites, ()),
    "words": (explorer_words.words, (explorer_words.MODEL,)),
    "metrics": (explorer_metrics.metrics, ()),
}


def stamp(name: str, root: Path = ROOT) -> str:
    """Return the hash of what an explorer's data are made by and of the models that they are of."""
    found = hashlib.sha256()
    make, models = DATA[name]
    weights = root / "vizer_lab" / "zoo" / "weights"
    sources = [root / "tools" / f"{make.__module__.removeprefix('tools.')}.py"]
    for file in sources + [weights / f"{model}.safetensors.json" for model in models]:
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def data_file(name: str, root: Path = ROOT) -> Path:
    """Return where the data of an explorer are."""
    return root / FOLDER / f"{name}_data.js"


def stored_stamp(name: str, root: Path = ROOT) -> str:
    """Return what the first line of a data file says that it was made from."""
    with data_file(name, root).open(encoding="utf-8") as stream:
        return stream.readline().split()[-2]


def write(name: str, root: Path = ROOT) -> Path:
    """Make one explorer's data and write them, stamped."""
    text = json.dumps(DATA[name][0](), ensure_ascii=False, separators=(",", ":"))
    head = f"/* Written by python -m tools.explorers from {stamp(name, root)} */"
    data_file(name, root).write_text(
        f"{head}\nwindow.Explorers.data.{name} = {text};\n", encoding="utf-8"
    )
    return data_file(name, root)


def main() -> None:
    """Write the data that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(DATA)}; all if none")
    names = parser.parse_args().names or list(DATA)
    if unknown := sorted(set(names) - set(DATA)):
        parser.error(f"no data {unknown}: wanted some of {', '.join(DATA)}")
    for name in names:
        file = write(name)
        print(f"wrote {file.relative_to(ROOT)}: {file.stat().st_size / 1024:,.0f} KiB")
    for name, draw in explorer_figures.FIGURES.items():
        file = ROOT / FOLDER / f"{name}.svg"
        file.write_text(draw().svg(), encoding="utf-8")
        print(f"wrote {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
