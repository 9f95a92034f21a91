"""What a chapter studies: one encoder, its images and their captions, on either profile.

Notebooks call `open_study` and nothing else that depends on the profile, so that one code path
serves both:

=======  ==================================  ==================================================
profile  encoder                             images and captions
=======  ==================================  ==================================================
micro    a shipped drawn CLIP                the first n test scenes of the drawn world
full     `VIZER_CLIP` or `VIZER_JUDGE`,      the first n of COCO val2017, from `VIZER_DATA`;
         see `vizer_core.clip.full`          at most `VIZER_IMAGES`, where that is set
=======  ==================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vizer_core import env
from vizer_core.clip import ImageTextEncoder
from vizer_core.clip.full import full_models, load_full_clip
from vizer_core.data import read_folder
from vizer_core.data.images import ImageFiles
from vizer_core.files import read_json
from vizer_core.metrics.stats import Interval
from vizer_core.runtime import at_most, pick_device, profile
from vizer_lab.world import DrawnSplit, Scene
from vizer_lab.world.world import split_in
from vizer_lab.zoo import CLIPS, load_drawn_clip

DRAWN_MODELS = ("drawn-clip", "drawn-clip-50", "drawn-clip-100", "drawn-clip-avg")
DRAWN_NOTE = "micro profile: shows the mechanism, not quality at scale"
IMAGES, CAPTIONS = "val2017", "annotations/captions_val2017.json"
COCO_ADVICE = """\
Download COCO 2017 from https://cocodataset.org/#download: "2017 Val images" (5,000 images, about
1 GB) and "2017 Train/Val annotations" (about 240 MB). `md5sum *.zip` should give
442b8da7639aecaf257c1dceb8ba8c80 for val2017.zip and f4bbac642086de4f52a3fdda2de5fa2c for
annotations_trainval2017.zip. Unzip both into one folder, so that it contains val2017/ and
annotations/, and set VIZER_DATA to that folder. The annotations are CC BY 4.0; each image keeps its
Flickr owner's licence. Or stay offline with VIZER_PROFILE=micro."""


def find_results(package: Path, here: Path) -> Path:
    """Return the folder of result files: the package's own checkout's, else that of a clone here.

    An installed package has none of its own; a notebook may still run inside a clone.
    """
    roots = (package.parent, here, *here.parents)
    clones = (root / "results" for root in roots if (root / "_toc.yml").is_file())
    return next((folder for folder in clones if folder.is_dir()), package.parent / "results")


RESULTS = find_results(Path(__file__).resolve().parents[1], Path.cwd())


@dataclass(frozen=True, eq=False)
class Study:
    """An encoder and n images with their captions; `note` says how far the numbers reach.

    `scenes` contains the exact content of each image; it is empty where nobody knows it.
    """

    encoder: ImageTextEncoder
    ids: tuple[str, ...]
    images: Sequence[Image.Image]
    captions: tuple[tuple[str, ...], ...]
    note: str
    scenes: tuple[Scene, ...] = ()

    def __post_init__(self) -> None:
        counts = (len(self.ids), len(self.images), len(self.captions))
        if len(set(counts)) > 1 or (self.scenes and len(self.scenes) != counts[0]):
            raise ValueError(
                f"got {counts[0]} ids, {counts[1]} images, {counts[2]} lists of captions and "
                f"{len(self.scenes)} scenes: wanted one of each for each image (or no scenes)"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_micro(self) -> bool:
        """Whether each image's exact content is known."""
        return bool(self.scenes)

    @property
    def texts(self) -> tuple[str, ...]:
        """The first caption of each image: one pair an image, as a bootstrap wants it."""
        return tuple(captions[0] for captions in self.captions)


def model_names() -> tuple[str, ...]:
    """Return the models that a chapter compares on the profile in force.

    >>> model_names()
    ('drawn-clip', 'drawn-clip-50', 'drawn-clip-100', 'drawn-clip-avg')
    """
    return DRAWN_MODELS if profile().is_micro else full_models()


def open_study(model: str = "drawn-clip-100", n: int = 1000) -> Study:
    """Open the encoder, images and captions of the profile in force.

    `model` is a shipped CLIP, or, on the full profile, `name/tag` of an open_clip model
    or a folder of one. There a shipped name means the CLIP that is studied: `VIZER_CLIP`, or
    ViT-B-32/openai, the model that the shipped ones are small copies of.

    >>> study = open_study("drawn-clip", n=2)
    >>> study.ids, study.images[0].size
    (('second_test-00000', 'second_test-00001'), (112, 112))
    """
    if n < 1:
        raise ValueError(f"n is {n}: wanted at least one image")
    return open_drawn(model, n) if profile().is_micro else open_full(model, at_most(n))


def open_drawn(model: str = "drawn-clip-100", n: int = 1000) -> Study:
    """Open the drawn world on either profile: for questions that need each scene's exact content.

    >>> open_drawn("drawn-clip", n=2).ids
    ('second_test-00000', 'second_test-00001')
    """
    if model not in CLIPS:
        raise ValueError(
            f"no drawn model {model!r}: wanted one of {', '.join(DRAWN_MODELS)}. Other models need "
            "VIZER_PROFILE=full."
        )
    split = DrawnSplit(split_in(CLIPS[model].recipe.model.world, "test"), n)
    return Study(
        encoder=load_drawn_clip(model, device=str(pick_device())),
        ids=split.ids,
        images=[Image.fromarray(pixels) for pixels in split.images],
        captions=split.captions,
        note=DRAWN_NOTE,
        scenes=split.scenes,
    )


def recorded_scores(experiment: str, metric: str, *, folder: Path = RESULTS) -> dict[str, Interval]:
    """Return a metric's mean and interval by system, as `results/<experiment>.json` contains them.

    For numbers that take hours to make: a chapter shows them and says which command made them.
    """
    path = Path(folder) / f"{experiment}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: the results lie in the repository, not in the installed package. Run the "
            "notebook inside a clone of it."
        )
    rows = read_json(path)["scores"]
    found = {
        row["system"]: Interval(row["mean"], row["low"], row["high"])
        for row in rows
        if row["metric"] == metric
    }
    if not found:
        known = ", ".join(sorted({row["metric"] for row in rows}))
        raise ValueError(f"{path.name} has no metric {metric!r}; it has {known}")
    return found


def recorded_differences(
    experiment: str, metric: str, *, folder: Path = RESULTS
) -> dict[tuple[str, str], Interval]:
    """Return a metric's paired differences by (system, against), as the results file contains them.

    Pairs that were not compared are absent.
    """
    path = Path(folder) / f"{experiment}.json"
    recorded_scores(experiment, metric, folder=folder)  # says what is missing
    return {
        (row["system"], row["against"]): Interval(row["mean"], row["low"], row["high"])
        for row in read_json(path)["differences"]
        if row["metric"] == metric
    }


def open_full(model: str, n: int) -> Study:
    """Open the first n captioned images of COCO val2017, whatever `VIZER_IMAGES` says."""
    wanted = full_models()[0] if model in CLIPS else model
    folder = coco_folder()
    records = [r for r in read_folder(folder / IMAGES, folder / CAPTIONS) if r.captions][:n]
    if len(records) < n:
        raise ValueError(
            f"{folder} has {len(records)} images with captions, wanted n = {n}. Ask for fewer: in "
            f"a chapter, set VIZER_IMAGES={len(records)}."
        )
    return Study(
        encoder=load_full_clip(wanted),
        ids=tuple(record.id for record in records),
        images=ImageFiles([record.image for record in records]),
        captions=tuple(record.captions for record in records),
        note=f"full profile: {wanted} on the first {n:,} images of COCO val2017",
    )


def coco_folder() -> Path:
    """Return the folder that `VIZER_DATA` names, checked to contain COCO val2017 as it unzips."""
    named = env.DATA.get()
    if not named:
        raise FileNotFoundError(
            f"the full profile needs COCO, and VIZER_DATA is not set.\n{COCO_ADVICE}"
        )
    folder = Path(named).expanduser()
    missing = [part for part in (IMAGES, CAPTIONS) if not (folder / part).exists()]
    if missing:
        raise FileNotFoundError(f"VIZER_DATA={named} lacks {', '.join(missing)}.\n{COCO_ADVICE}")
    return folder
