"""The table of the page "50,000 photographs and one GPU", from the package's estimator.

Three jobs in the order of the page: what `vizer improve` does to find out, then captions of the
whole folder, greedily and by a beam of 4. Nothing here was measured.
"""

from __future__ import annotations

from pathlib import Path

from tools.tables import table
from vizer_core.improvement.gate import HELD_OUT, LOOK
from vizer_core.improvement.training import CAPTIONS
from vizer_core.vlm.budget import StepPlan
from vizer_core.vlm.published import (
    smolvlm_256m_config,
    smolvlm_500m_config,
    smolvlm_base_config,
)
from vizer_core.vlm.sizes import VlmSize, size_of
from vizer_lab.costs import DEVICES, Device, Plan, vlm_captions_plan, zero_label_plan
from vizer_lab.costs.chapters import bytes_words

PHOTOGRAPHS = 50_000
BEAM, WAYS = 4, 30  # captions per image that the first look makes: words, prompts, beams, views
TOKENS = 32
IMAGES_PER_STEP = 32  # of `vizer improve`, unless told otherwise
VLMS = {
    "SmolVLM-256M": smolvlm_256m_config,
    "SmolVLM-500M": smolvlm_500m_config,
    "SmolVLM-Base": smolvlm_base_config,
}


def greedy_plan(size: VlmSize, images: int) -> Plan:
    """Caption images, one pass each."""
    return vlm_captions_plan(size, images, step=StepPlan(batch=64, caption_tokens=TOKENS))


def beam_plan(size: VlmSize, images: int) -> Plan:
    """Caption images by a beam: four rows of the decoder an image, a quarter as many at once."""
    step = StepPlan(batch=16, samples=BEAM, caption_tokens=TOKENS)
    return vlm_captions_plan(size, images, step=step, at_once=16)


def improve_plan(size: VlmSize) -> Plan:
    """Look at a part of the folder, train on beam captions of a part once, look again."""
    looked = greedy_plan(size, WAYS * (LOOK + HELD_OUT))
    taught = beam_plan(size, CAPTIONS)
    step = StepPlan(batch=IMAGES_PER_STEP, caption_tokens=TOKENS, head=True, kl=True, merged=True)
    return looked + taught + zero_label_plan(size, CAPTIONS, step=step)


def folder_markdown() -> str:
    """Return what each step costs by model and device, in time and memory."""
    rows = []
    for name, config in VLMS.items():
        size = size_of(config())
        jobs = {
            "`vizer improve`": improve_plan(size),
            "caption all, greedy": greedy_plan(size, PHOTOGRAPHS),
            f"caption all, beam of {BEAM}": beam_plan(size, PHOTOGRAPHS),
        }
        for job, plan in jobs.items():
            times = [_time(plan, device) for device in DEVICES.values()]
            held = max(plan.memory, jobs["caption all, greedy"].memory)  # as many rows as its batch
            rows.append([name, job, *times, bytes_words(held)])
    return table(["model", "step", *DEVICES, "GPU memory"], rows)


def _time(plan: Plan, device: Device) -> str:
    if plan.memory > device.memory:
        return "does not fit"
    minutes = plan.minutes(device)
    return f"{minutes / 60:.1f} h" if minutes >= 90 else f"{max(minutes, 1):.0f} min"


def write_folder_page(folder: Path) -> None:
    """Write the table among the generated pages."""
    (folder / "photographs.md").write_text(folder_markdown() + "\n", encoding="utf-8")
