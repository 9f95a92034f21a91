"""What each chapter of the book costs on its `full` profile, from its numbers of images.

A chapter is named by its notebook without the number. Its counts are those that the notebook asks
its study for; a test holds them together. What a page computes beside its models (bootstraps,
UMAP, drawing) it computes on both profiles: `PAGE_MINUTES`, the most that any chapter takes on the
micro profile, is added. Loading and download are left out. Models are counted in half precision:
`VIZER_DTYPE` sets it for a language model, which is float32 otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from vizer_core.vlm.budget import StepPlan
from vizer_core.vlm.published import smolvlm_base_config
from vizer_core.vlm.sizes import VlmSize, size_of
from vizer_lab.costs.measured import CUT, MeasuredCost
from vizer_lab.costs.models import CLIP_B32, OPT_1B
from vizer_lab.costs.plans import (
    HALF,
    Plan,
    caption_plan,
    features_plan,
    mapper_plan,
    text_only_plan,
    vlm_captions_plan,
    zero_label_plan,
)
from vizer_lab.costs.work import DEVICES, Device, Phase

PAGE_MINUTES = 1
PROCESS_RAM = 3 * 10**9  # Python, torch and CUDA's libraries
COCO_2017 = {"COCO val2017": 1_250_000_000}  # with its captions
COCO_2014 = {"COCO val2014": 6_250_000_000, "VQAv2": 300_000_000}
CLIP_WEIGHTS = {"CLIP ViT-B/32": CLIP_B32.parameters * 4}
TWO_CLIPS = CLIP_WEIGHTS | {"the same of LAION-2B": CLIP_B32.parameters * 4}
OPT_WEIGHTS = {"OPT-1.3B": OPT_1B.parameters * HALF}
WHOLE_CORPUS = 566_747  # captions of COCO's training images, as MacCap counts them
GREEDY = StepPlan(batch=64, caption_tokens=32)
COSINE = StepPlan(batch=8, caption_tokens=32)
ROLLOUT = StepPlan(batch=8, samples=4, caption_tokens=32)
BEAMS, SAMPLES = 4, 20  # MacCap's
SHORT_BATCH = 32  # of the short training that a page runs itself
ZEROCAP_TOKENS, ZEROCAP_STEPS = 15, 5  # words per caption, gradient steps per word, read thrice


@dataclass(frozen=True)
class ChapterCost:
    """The work of a chapter, what is fetched for it, and what one training before it costs."""

    plan: Plan
    fetched: Mapping[str, int]
    before: Plan | None = None

    @property
    def download(self) -> int:
        """Bytes that come over the net once."""
        return sum(self.fetched.values())

    @property
    def ram(self) -> int:
        """Bytes of the machine's memory: the process, and the largest checkpoint while it loads."""
        weights = [size for name, size in self.fetched.items() if name not in COCO_2017 | COCO_2014]
        return PROCESS_RAM + max(weights)

    def fits(self, device: Device) -> bool:
        """Say whether the largest phase fits into a device's memory."""
        return self.plan.memory <= device.memory

    def minutes(self, device: Device) -> int | float:
        """Estimate the minutes on a device, those of the page included."""
        return self.plan.minutes(device) + PAGE_MINUTES


def full_profile(chapter: str) -> ChapterCost | None:
    """Return the `full` profile of a chapter; None for one that stays in the drawn world.

    >>> full_profile("umap").download == 2 * CLIP_B32.parameters * 4 + 1_250_000_000
    True
    """
    makers = {
        "clip_features": lambda: _gap_chapter(1000, models=1),
        "modality_gap": lambda: _gap_chapter(1000, models=2),
        "gap_histograms": lambda: _gap_chapter(1000, models=2),
        "umap": lambda: _gap_chapter(1000, models=2),
        "which_metric": lambda: None,
        "the_field": lambda: None,
        "text_reconstruction": lambda: _reconstruction(100, corpus=6400),
        "zero_shot_captioning": lambda: _zero_shot(100),
        "vqa": lambda: _questions(20_000, captioners=8),
        "vlm_anatomy": lambda: _anatomy(300),
        "mapper": lambda: _mapper(300, train=2000),
        "zero_label": lambda: _trained(100, stream=800, step=COSINE, runs=3, generated=14),
        "rewards": lambda: _trained(100, stream=400, step=ROLLOUT, runs=2, generated=40),
        "ablations": lambda: _trained(64, stream=800, step=COSINE, runs=7, generated=12),
        "does_the_loss_see": lambda: _trained(96, stream=1200, step=COSINE, runs=0, generated=60),
        "improving_without_labels": lambda: _trained(
            100, stream=192, step=ROLLOUT, runs=3, generated=22
        ),
    }
    if chapter not in makers:
        raise ValueError(f"no chapter {chapter!r}: wanted one of {', '.join(sorted(makers))}")
    return makers[chapter]()


def chapter_table(
    chapter: str, micro_seconds: int | float, *, measured: Sequence[MeasuredCost] = ()
) -> str:
    """Return the cost table of a chapter in Markdown: `full` is estimated, or `measured` as well.

    >>> print(chapter_table("which_metric", 12.0).splitlines()[2])
    | `micro` (default) | 2 CPU cores | about 1 | under 2 GB | none | none |
    """
    found = full_profile(chapter)
    header = ["profile", "hardware", "minutes", "RAM", "GPU memory", "download"]
    micro = ["2 CPU cores", _minutes(micro_seconds / 60), "under 2 GB", "none", "none"]
    rows = [header, ["---"] * len(header), ["`micro` (default)", *micro]]
    if found is None:
        rows.append(["`full`, the same", *micro])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    rows += [["`full`, estimated", *_row(found, device)] for device in DEVICES.values()]
    runs = [run for run in measured if run.what == chapter]
    rows += [[f"`full`, measured on {run.date}", *measured_row(run)] for run in runs]
    parts = ", ".join(f"{name} {bytes_words(size)}" for name, size in found.fetched.items())
    replaced = "no run has replaced it yet. Loading is left out"
    if runs:
        replaced = (
            "loading is left out. The rows below them are what runs really took, loading included, "
            "with the ratio to the estimate in brackets"
        )
    notes = [
        "The rows of `full` are an estimate from the shapes of the models and the number of "
        "images ([how](../book/planning.md)), in half precision (`VIZER_DTYPE`); "
        f"{replaced}. The download: {parts}."
    ]
    if found.before is not None:
        hours = (f"{d.name} {found.before.minutes(d) / 60:.1f}" for d in DEVICES.values())
        notes.append(f"Each prefix network is trained once before, in hours: {', '.join(hours)}.")
    note = fill(" ".join(notes), 99, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{note}"


def measured_row(run: MeasuredCost) -> list[str]:
    """Return hardware, minutes, RAM, GPU memory and download of a run; minutes include loading too.

    Where models and sizes were the default ones and the device is one of the estimates, the ratio
    to the estimate stands in brackets.
    """
    device, cost = run.estimated_for, _estimate_of(run)
    minutes, memory = f"{run.minutes:,.1f}", "none" if run.vram is None else bytes_words(run.vram)
    if device and cost and run.is_of_the_estimate:
        minutes += f" ({run.minutes / cost.minutes(device):.2g} x)"
        if run.vram is not None:
            memory += f" ({run.vram / cost.plan.memory:.2g} x)"
    others = ", ".join(f"{part} {name}" for part, name in sorted(run.models.items()))
    cut = f"{CUT} {run.sizes[CUT]}" if CUT in run.sizes else ""
    changed = "; ".join(filter(None, (f"other models: {others}" if others else "", cut)))
    download = changed or "as estimated"
    return [run.device, minutes, bytes_words(run.ram), memory, download]


def _estimate_of(run: MeasuredCost) -> ChapterCost | None:
    try:
        return full_profile(run.what)
    except ValueError:  # a command, or a chapter that is gone
        return None


def bytes_words(value: int | float) -> str:
    """Format bytes in the unit that reads best.

    >>> bytes_words(2.4e9), bytes_words(6e13), bytes_words(270_000)
    ('2.4 GB', '60 TB', '0.27 MB')
    """
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size or unit == "MB":
            shown = value / size
            return f"{shown:.0f} {unit}" if shown >= 10 else f"{shown:.2g} {unit}"
    raise AssertionError(value)


def _row(cost: ChapterCost, device: Device) -> list[str]:
    shown = _minutes(cost.minutes(device)) if cost.fits(device) else "does not fit"
    name = f"{device.name}, {device.memory / 1e9:.0f} GB"
    memory = [bytes_words(cost.ram), bytes_words(cost.plan.memory)]
    return [name, shown, *memory, bytes_words(cost.download)]


def _minutes(minutes: int | float) -> str:
    return f"about {max(1, round(minutes)):,}"


def _gap_chapter(images: int, *, models: int) -> ChapterCost:
    one = features_plan(CLIP_B32, images, images)
    work = Plan(one.phases * models)
    return ChapterCost(work, (CLIP_WEIGHTS if models == 1 else TWO_CLIPS) | COCO_2017)


def _reconstruction(images: int, *, corpus: int) -> ChapterCost:
    """Four noise levels from three sources, four more in exercises, one epoch on a small corpus."""
    generated = caption_plan(CLIP_B32, OPT_1B, images, rows=BEAMS)
    short = text_only_plan(CLIP_B32, OPT_1B, corpus, epochs=1, batch=SHORT_BATCH)
    return ChapterCost(
        Plan(generated.phases * 16 + short.phases),
        TWO_CLIPS | OPT_WEIGHTS | COCO_2017,
        before=text_only_plan(CLIP_B32, OPT_1B, WHOLE_CORPUS),
    )


def _zero_shot(images: int) -> ChapterCost:
    """Sampled MacCap twice, ten methods with one caption each, and ZeroCap's search by gradient."""
    sampled = caption_plan(CLIP_B32, OPT_1B, images, rows=SAMPLES * BEAMS)
    single = caption_plan(CLIP_B32, OPT_1B, images, rows=BEAMS)
    passes = images * ZEROCAP_TOKENS * ZEROCAP_STEPS * 3
    search = Phase(
        "gradient search",
        passes * 2 * OPT_1B.shape.weights,
        token_steps=passes,
        layers=OPT_1B.shape.layers,
        held=single.phases[-1].held,
    )
    return ChapterCost(
        Plan((*sampled.phases * 2, *single.phases * 10, search)),
        TWO_CLIPS | OPT_WEIGHTS | COCO_2017,
        before=text_only_plan(CLIP_B32, OPT_1B, WHOLE_CORPUS),
    )


def _questions(questions: int, *, captioners: int) -> ChapterCost:
    one = caption_plan(CLIP_B32, OPT_1B, questions, rows=1, tokens=10, at_once=64)
    answers = Plan(tuple(p for p in one.phases if p.name == "generation") * captioners)
    return ChapterCost(answers, CLIP_WEIGHTS | OPT_WEIGHTS | COCO_2014)


def _base() -> VlmSize:
    return size_of(smolvlm_base_config())


def _vlm_fetched() -> dict[str, int]:
    return {"SmolVLM-Base": _base().parameters * HALF} | TWO_CLIPS | COCO_2017


def _kept(plan: Plan, images: int) -> Plan:
    """Add the image embeddings that a page keeps on the device to what each phase keeps."""
    more = images * _base().tower.tokens * _base().text.width * HALF
    return Plan(tuple(Phase(**{**vars(p), "held": p.held + more}) for p in plan.phases))


def _anatomy(test: int) -> ChapterCost:
    """Captions greedy, drawn and with a word forbidden, and as much again for reading them."""
    once = vlm_captions_plan(_base(), test, step=GREEDY)
    return ChapterCost(_kept(Plan(once.phases * 4), test), _vlm_fetched())


def _mapper(test: int, *, train: int) -> ChapterCost:
    """Captions of the test images, and the training images' states in two forms."""
    seen = vlm_captions_plan(_base(), test, step=GREEDY)
    states = mapper_plan(_base(), train, step=GREEDY)
    work = Plan(seen.phases + states.phases * 2)
    return ChapterCost(_kept(work, test + train), _vlm_fetched())


def _trained(test: int, *, stream: int, step: StepPlan, runs: int, generated: int) -> ChapterCost:
    """A mapper on the stream, `runs` trainings on it, and `generated` captions a test image."""
    fitted = mapper_plan(_base(), stream, step=GREEDY)
    trained = zero_label_plan(_base(), stream, step=step)
    shown = vlm_captions_plan(_base(), test, step=GREEDY)
    work = Plan(fitted.phases + trained.phases * runs + shown.phases * generated)
    return ChapterCost(_kept(work, test + stream), _vlm_fetched())
