"""Tables for the planning page: what chapters and large runs cost, by `vizer_lab.costs`.

Estimates are made when the book is built; what runs took, and the simulation's rows, come from
their result files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.notebook_cells import chapter_of
from tools.tables import cell, number, table
from vizer_core.gap import GapHistogram
from vizer_core.vlm.budget import H100, StepPlan, least_seconds, naive_flops, step_flops
from vizer_core.vlm.memory import step_memory
from vizer_core.vlm.published import (
    qwen2_5_vl_3b_config,
    qwen2_vl_2b_config,
    smolvlm_256m_config,
    smolvlm_500m_config,
    smolvlm_base_config,
)
from vizer_core.vlm.sizes import VlmSize, size_of
from vizer_lab.costs import (
    CLIP_B32,
    DEVICES,
    OPT_1B,
    MeasuredCost,
    full_profile,
    scale_row,
)
from vizer_lab.costs.chapters import ROLLOUT, bytes_words, measured_row
from vizer_lab.costs.measured import measured_costs
from vizer_lab.costs.plans import HALF, Plan, zero_label_plan
from vizer_lab.costs.work import Device

PROCESSES = (2, 4, 8)
SCALES = (40_000, 10_000_000, 1_000_000_000)
VLMS = {
    "SmolVLM-256M": smolvlm_256m_config,
    "SmolVLM-500M": smolvlm_500m_config,
    "SmolVLM-Base": smolvlm_base_config,
    "Qwen2-VL-2B": qwen2_vl_2b_config,
    "Qwen2.5-VL-3B": qwen2_5_vl_3b_config,
}
RUNS = (10_000, 1_000_000)  # images of a training
# dollars an hour that a rented machine is taken to cost; offers differ by a factor of two
PRICES = {"T4": 0.40, "RTX 4090": 0.50, "H100 SXM": 3.00}
BATCHES = (128, 64, 32, 16, 8, 4, 2, 1)  # images at once, the first that fits


def chapters_markdown(files: list[Path], titles: dict[Path, str]) -> str:
    """Return the cost of each chapter's `full` profile on three devices."""
    rows = []
    for file in files:
        link = f"[{titles[file]}](../notebooks/{file.name})"
        try:
            found = full_profile(chapter_of(file))
        except ValueError:  # a new chapter: the check of the notebooks asks for its price
            rows.append([link, *["-"] * len(DEVICES), "-", "not estimated"])
            continue
        if found is None:
            rows.append([link, *["-"] * len(DEVICES), "-", "nothing"])
            continue
        fits = [
            f"{found.minutes(device):,.0f}" if found.fits(device) else "does not fit"
            for device in DEVICES.values()
        ]
        memory = bytes_words(found.plan.memory)
        rows.append([link, *fits, memory, bytes_words(found.download)])
    header = ["chapter", *(f"minutes, {name}" for name in DEVICES), "GPU memory", "download"]
    return table(header, rows)


def measured_markdown(rows: Sequence[MeasuredCost], titles: dict[str, str]) -> str:
    """Return what runs on the full profile took, or that none was recorded; `titles` by chapter."""
    if not rows:
        return (
            "No run on the `full` profile is recorded yet: all of the above are estimates. "
            "`python -m tools.costs chapter NAME` runs a chapter and puts its row here."
        )
    lines = []
    for run in rows:
        device, minutes, ram, vram, models = measured_row(run)
        sizes = ", ".join(f"{name} {value}" for name, value in run.sizes.items())
        made = f"measured on {run.date}, commit `{run.commit}`"
        lines.append(
            [
                titles.get(run.what, f"`{run.what}`"),
                device,
                minutes,
                ram,
                vram,
                models,
                cell(sizes),
                made,
            ]
        )
    header = ["run", "on", "minutes", "RAM", "GPU memory", "models and data", "sizes", "how"]
    note = (
        "In brackets: what was measured over what is estimated for the same device, where models "
        "and sizes were those of the estimate. Minutes hold "
        "the loading of models; GPU memory is what torch reserved, without CUDA's own part."
    )
    return f"{note}\n\n{table(header, lines)}"


def scale_markdown() -> str:
    """Return what 40,000, 10 million and a billion images cost on one H100."""
    base = size_of(smolvlm_base_config())
    found = [
        scale_row(n, clip=CLIP_B32, vlm=base, step=ROLLOUT, device=DEVICES["H100 SXM"])
        for n in SCALES
    ]
    gap = sum(part.nbytes for part in GapHistogram(CLIP_B32.embed_dim).to_tensors().values())
    lines: list[tuple[str, list[str]]] = [
        ("photographs, 384 px JPEG", [bytes_words(row.photo_bytes) for row in found]),
        ("shards of 10,000", [number(row.shards) for row in found]),
        ("reading them, 16 cores", [_hours(row.read_hours) for row in found]),
        ("CLIP features, made", [_hours(row.features_hours) for row in found]),
        ("CLIP features, kept in half", [bytes_words(row.feature_bytes) for row in found]),
        ("gap statistics, kept", [bytes_words(gap) for _ in found]),
        ("mapper's captions and states, made", [_hours(row.mapper_hours) for row in found]),
        ("pooled states and targets, kept", [bytes_words(row.state_bytes) for row in found]),
        ("zero-label training, 4 captions each", [_hours(row.zero_label_hours) for row in found]),
        ("memory bank, exact", [bytes_words(row.bank_bytes) for row in found]),
        ("memory bank, 64-byte codes", [bytes_words(row.bank_code_bytes) for row in found]),
        ("one exact query", [_seconds(row.bank_seconds) for row in found]),
    ]
    header = ["one H100, SmolVLM-Base, CLIP ViT-B/32", *(f"{n:,} images" for n in SCALES)]
    return table(header, [[name, *cells] for name, cells in lines])


def rollouts_markdown() -> str:
    """Return how the cost of a step grows with the captions per image, shared and repeated."""
    rows = []
    for name, config in VLMS.items():
        size = size_of(config())
        for samples in (1, 4, 8):
            rows.append(_rollout(name, size, replace(ROLLOUT, samples=samples)))
    header = [
        "model",
        "captions per image",
        "TFLOP an image",
        "repeated for each caption",
        "least seconds per step of 8, H100",
        "memory of the step",
    ]
    return table(header, rows)


def money_markdown() -> str:
    """Return hours and dollars of training by rewards, four captions per image, on each device."""
    rows = []
    for name, config in VLMS.items():
        size = size_of(config())
        for images in RUNS:
            cells = []
            for device in DEVICES.values():
                plan = _fitting_plan(size, images, device)
                if plan is None:
                    cells.append("does not fit")
                    continue
                hours = plan.minutes(device) / 60
                cells.append(f"{_hours(hours)}, {_dollars(hours * PRICES[device.name])}")
            rows.append([name, f"{images:,}", *cells])
    prices = (f"{name}, ${PRICES[name]:.2f} an hour" for name in DEVICES)
    return table(["model", "images", *prices], rows)


def _fitting_plan(size: VlmSize, images: int, device: Device) -> Plan | None:
    """Return the training with as many images at once as the device holds; None if not one."""
    for batch in BATCHES:
        step = replace(ROLLOUT, batch=batch, head=True, kl=True, merged=True)
        plan = zero_label_plan(size, images, step=step)
        if plan.memory <= device.memory:
            return plan
    return None


def _dollars(amount: float) -> str:
    """Format an amount of money.

    >>> _dollars(0.126), _dollars(3.5), _dollars(1234.5)
    ('$0.13', '$3.5', '$1,234')
    """
    return f"${amount:,.0f}" if amount >= 10 else f"${amount:.2g}"


def sharding_markdown() -> str:
    """Return what each process keeps of a model's weights in half precision, and what travels."""
    sizes = {"OPT-1.3B": (OPT_1B.parameters, OPT_1B.shape.weights)}
    for name, config in VLMS.items():
        size = size_of(config())
        sizes[name] = (size.parameters, size.text.linear_weights)
    rows = []
    for name, (whole, blocks) in sizes.items():
        held = [bytes_words(HALF * (whole - blocks + blocks / n)) for n in PROCESSES]
        travels = bytes_words(HALF * blocks * (1 - 1 / PROCESSES[-1]))
        rows.append([name, bytes_words(HALF * whole), *held, travels])
    header = [
        "model",
        "whole",
        *(f"one of {n}" for n in PROCESSES),
        f"received for each pass, one of {PROCESSES[-1]}",
    ]
    return table(header, rows)


def _rollout(name: str, size: VlmSize, step: StepPlan) -> list[str]:
    shared, repeated = step_flops(size, step).total, naive_flops(size, step)
    return [
        name,
        str(step.samples),
        number(shared / 1e12),
        f"{number(repeated / 1e12)} (x {repeated / shared:.1f})",
        number(least_seconds(size, step, H100)),
        bytes_words(step_memory(size, step).peak),
    ]


def simulation_markdown(result: Path) -> str:
    """Return what the simulation measured, or that it was not run."""
    if not result.is_file():
        return "The simulation was not run: `python -m benchmarks.scale`."
    record = json.loads(result.read_text(encoding="utf-8"))
    rows = [[f"`{key}`", number(value)] for key, value in record["figures"].items()]
    made = f"From `results/{result.name}`: `{record['command']}`, {record['hardware']}, "
    return f"{made}{record['seconds']:,.0f} seconds.\n\n" + table(["measured", "value"], rows)


def write_planning_pages(
    root: Path, folder: Path, files: list[Path], titles: dict[Path, str]
) -> None:
    """Write every table of the planning page."""
    pages = {
        "planning_chapters.md": chapters_markdown(files, titles),
        "planning_measured.md": measured_markdown(
            measured_costs(root / "results" / "costs" / "full.json"),
            {chapter_of(file): f"[{titles[file]}](../notebooks/{file.name})" for file in files},
        ),
        "planning_scale.md": scale_markdown(),
        "planning_rollouts.md": rollouts_markdown(),
        "planning_money.md": money_markdown(),
        "planning_sharding.md": sharding_markdown(),
        "planning_simulation.md": simulation_markdown(root / "results" / "scale_benchmark.json"),
    }
    for name, text in pages.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _hours(hours: float) -> str:
    """Format hours as minutes, hours, days or years.

    >>> _hours(0.05), _hours(30), _hours(9000)
    ('3 min', '30 h', '1 years')
    """
    for unit, least, length in (("years", 8760, 8760), ("days", 48, 24), ("h", 1, 1)):
        if hours >= least:
            shown = hours / length
            return f"{shown:,.0f} {unit}" if shown >= 10 else f"{shown:.2g} {unit}"
    return f"{60 * hours:.2g} min"


def _seconds(seconds: float) -> str:
    shown, unit = (1000 * seconds, "ms") if seconds < 1 else (seconds, "s")
    return f"{shown:,.0f} {unit}" if shown >= 10 else f"{shown:.2g} {unit}"
