"""Pack the captioning study's finished cells into one small file, so that seeds can be added later.

    python -m experiments.maccap_store pack --runs .cache/maccap
    python -m experiments.maccap_store unpack --runs .cache/maccap    on a machine without the runs
    python -m experiments.maccap_drawn --seeds 5                      makes what is missing

What is kept is every caption and what each training recorded. Weights are not: a prefix network
whose captions are all there is not trained again, any other is. `results/seeds/` holds the file.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

from vizer_core.files import read_json, write_json

PACKED, RUNS = Path("results/seeds/maccap_drawn.json.gz"), Path(".cache/maccap")
CAPTIONS, TRAINED, ELSEWHERE = "caption", "train", "trained elsewhere"


def pack(runs: Path, packed: Path) -> int:
    """Write all finished cells of a runs folder into one file; return how many."""
    folders = {CAPTIONS: [CAPTIONS], TRAINED: [ELSEWHERE, TRAINED]}
    found: dict[str, dict[str, Any]] = {
        kind: {
            path.stem: read_json(path)
            for folder in places
            for path in sorted((Path(runs) / folder).glob("*.json"))
        }
        for kind, places in folders.items()
    }
    for record in found[CAPTIONS].values():
        record["cell"]["arguments"]["runs"] = ""  # where they lay is nobody's business
    packed.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, sort_keys=True).encode()
    packed.write_bytes(gzip.compress(text, mtime=0))  # equal cells, equal bytes
    return sum(len(records) for records in found.values())


def unpack(packed: Path, runs: Path) -> int:
    """Lay packed cells into a runs folder, over none that is there; return how many were laid."""
    if not packed.is_file():
        raise FileNotFoundError(f"no {packed}: pack finished runs first, or leave unpack out")
    found, laid = json.loads(gzip.decompress(packed.read_bytes())), 0
    for kind, folder in ((CAPTIONS, CAPTIONS), (TRAINED, ELSEWHERE)):
        for name, record in found[kind].items():
            path = Path(runs) / folder / f"{name}.json"
            if kind == CAPTIONS:
                record["cell"]["arguments"]["runs"] = str(runs)
            if not path.is_file():
                write_json(path, record)
                laid += 1
    return laid


def main() -> None:
    """Read the options; pack or unpack."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["pack", "unpack"])
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--packed", type=Path, default=PACKED)
    options = parser.parse_args()
    if options.what == "pack":
        print(f"packed {pack(options.runs, options.packed)} cells into {options.packed}")
    else:
        print(f"laid {unpack(options.packed, options.runs)} cells into {options.runs}")


if __name__ == "__main__":
    main()
