"""What a run really took, beside what was estimated: one row per chapter (or command) and device.

A row is made by `python -m tools.costs` after a run on the `full` profile. It says on what it was
measured, from which commit, with which packages, sizes and models, so that a reader can tell
whether it speaks of their case. The file is written whole or not at all.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch

from vizer_core.files import read_json, write_json
from vizer_lab.costs.work import DEVICES, Device

STATUS = Path("/proc/self/status")
CUT = "images, at most"  # the size that a reader has cut: such a run is of less than is estimated


@dataclass(frozen=True)
class PeakMemory:
    """Most bytes that this process held: of the machine's memory, and of GPUs by torch (or None).

    CUDA's own part of a GPU, some 600 MB, is not in torch's number.
    """

    ram: int
    vram: int | None


@dataclass(frozen=True)
class MeasuredCost:
    """One run: `what` is a chapter's name without its number, or a command such as `vizer gap`.

    `sizes` says how much was done, `models` which were put in the place of the default ones.
    """

    what: str
    device: str
    minutes: float
    ram: int
    vram: int | None
    commit: str
    date: str
    versions: Mapping[str, str]
    sizes: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.minutes > 0 or self.ram <= 0 or not self.what or not self.device:
            raise ValueError(
                f"got {self.minutes} minutes and {self.ram} bytes for {self.what!r} on "
                f"{self.device!r}: wanted what was measured, both more than 0, and both names"
            )

    @property
    def is_of_the_estimate(self) -> bool:
        """Say whether the run was of the models and the sizes that the estimate is made for."""
        return not self.models and CUT not in self.sizes

    @property
    def estimated_for(self) -> Device | None:
        """The device of the estimates that this one is, or None.

        >>> row = MeasuredCost("umap", "Tesla T4, 2 CPU cores", 1.0, 1, None, "c", "d", {})
        >>> row.estimated_for.name
        'T4'
        """
        for name, device in DEVICES.items():
            if re.search(rf"\b{re.escape(name.removesuffix(' SXM'))}\b", self.device):
                return device
        return None


def measured_costs(path: Path) -> tuple[MeasuredCost, ...]:
    """Read the rows of a file of measured runs; none where there is no file yet."""
    if not Path(path).is_file():
        return ()
    known = {part.name for part in fields(MeasuredCost)}
    rows = []
    for index, row in enumerate(read_json(path)["rows"]):
        odd = sorted(known ^ set(row))
        if odd:
            raise ValueError(
                f"{path}, row {index}: {', '.join(odd)} missing or unknown: wanted "
                f"{', '.join(sorted(known))}. Measure the run again: python -m tools.costs"
            )
        rows.append(MeasuredCost(**row))
    return tuple(rows)


def record_cost(path: Path, row: MeasuredCost) -> None:
    """Put a run's row into the file, in the place of an older one of the same work and device."""
    key = (row.what, row.device)
    kept = [old for old in measured_costs(path) if (old.what, old.device) != key]
    rows = sorted([*kept, row], key=lambda each: (each.what, each.device))
    write_json(path, {"rows": [asdict(each) for each in rows]})


def peak_memory() -> PeakMemory:
    """Measure this process from its start: its largest resident size, and torch's on all GPUs."""
    vram = None
    if torch.cuda.is_available():
        vram = sum(torch.cuda.max_memory_reserved(i) for i in range(torch.cuda.device_count()))
    return PeakMemory(_resident(), vram)


def _resident() -> int:
    """Return the peak of this process alone; the kernel's `ru_maxrss` may include its parent's."""
    if STATUS.is_file():
        peaks = re.findall(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="utf-8"), re.MULTILINE)
        if peaks:
            return int(peaks[0]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
