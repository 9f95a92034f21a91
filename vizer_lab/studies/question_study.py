"""What the chapter on questions works on: images, questions, captions and who answers.

One code path serves both profiles:

=========  ===================================  ================================================
profile    questions                            captions
=========  ===================================  ================================================
micro      all of the first n test scenes       made here: MacCap, CapDec and DeCap with the
                                                shipped prefix networks; and a person's
full       n of VQAv2 val, drawn by seed        read from `captions/NAME.json` (COCO results),
                                                one file a captioner; and a person's
=========  ===================================  ================================================

The full profile's folder, `VIZER_DATA`, is described in `QUESTIONS_ADVICE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from vizer_core import env
from vizer_core.captioners import CapDec, DeCap, MacCap, MemoryBank, RegionTokens, SampledMacCap
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.full import full_models, load_full_clip
from vizer_core.data import open_image
from vizer_core.data.coco import read_annotations, read_results
from vizer_core.data.vqav2 import VqaItem, read_answer_list, read_vqav2, sample_items
from vizer_core.language import CausalLM
from vizer_core.runtime import at_most, model_dtype, pick_device, profile, seeded
from vizer_core.vqa.answering import VqaProtocol
from vizer_core.vqa.report import Captions
from vizer_lab.world import DrawnSplit
from vizer_lab.world.corpora import drawn_corpus
from vizer_lab.world.vqa_items import (
    drawn_answer_list,
    drawn_prompt,
    drawn_vqa_items,
)
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.captioners import load_drawn_prefix_network
from vizer_lab.zoo.clips import pixels_of
from vizer_lab.zoo.language_models import load_drawn_lm

HUMAN, CAPTIONERS = "human", ("maccap", "capdec", "decap")
NEEDED = ("maccap", "decap")  # of the captioners' files: whom the chapter compares
DRAWN_NOTE = "micro profile: shows the mechanism, not quality at scale"
DRAWN_CLIP, DRAWN_LM = "drawn-clip-50", "drawn-lm"
DRAWN_TRAINING = 2_000  # training scenes whose questions give the priors
DRAWN_MEMORY = 4_000  # captions in DeCap's memory
ANNOTATIONS = "annotations/captions_val2014.json"
VQAV2 = {
    split: tuple(
        f"vqav2/v2_{name}_{split}2014_{kind}.json"
        for name, kind in (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations"))
    )
    for split in ("train", "val")
}
ANSWERS = "vqav2/answer_list.json"
QUESTIONS_ADVICE = """\
Set VIZER_DATA to a folder with
  val2014/                  COCO's 2014 val images (6 GB) from https://cocodataset.org/#download
  annotations/              captions_val2014.json, of the 2014 Train/Val annotations there
  vqav2/                    questions and annotations of train and val, unzipped, from
                            https://visualqa.org/download.html, and answer_list.json of ALBEF's
                            data archive (https://github.com/salesforce/ALBEF)
  captions/NAME.json        what `vizer caption` writes for val2014 (or for some of it: only those
                            images are asked about), one file a captioner; maccap and decap at least
Questions and annotations are CC BY 4.0; each image keeps its Flickr owner's licence. Or stay
offline with VIZER_PROFILE=micro."""


@dataclass(frozen=True, eq=False)
class QuestionStudy:
    """Questions, the training questions that give the priors, and captions by system.

    `people` contains all captions that people wrote of each image, of which "human" is the first;
    `image` opens an image by its id; `note` says how far the numbers reach.
    """

    protocol: VqaProtocol
    items: tuple[VqaItem, ...]
    training: tuple[VqaItem, ...]
    captions: Mapping[str, Captions]
    people: Mapping[str, tuple[str, ...]]
    image: Callable[[str], Image.Image]
    note: str

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The images that are asked about, in order."""
        return tuple(dict.fromkeys(item.image_id for item in self.items))


def open_questions(
    n: int = 200, *, samples: int = 20, language_model: str | Path | None = None
) -> QuestionStudy:
    """Open what the profile in force asks and reads.

    `n` counts scenes on the micro profile and questions on the full one. `samples` is MacCap's S,
    for captions made here; `language_model` answers on the full profile: unless named, what
    `VIZER_LM` names, or OPT-1.3b. There `VIZER_IMAGES` is the most questions.
    """
    if n < 1:
        raise ValueError(f"n is {n}: wanted at least one scene or question")
    if profile().is_micro:
        return _open_drawn(n, samples)
    wanted = language_model or env.LANGUAGE_MODEL.get()
    return _open_full(at_most(n), wanted)


def _open_drawn(n: int, samples: int) -> QuestionStudy:
    split, encoder = DrawnSplit("second_test", n), load_drawn_clip(DRAWN_CLIP)
    lm = load_drawn_lm(name=DRAWN_LM)
    images = {name: Image.fromarray(array) for name, array in zip(split.ids, split.images)}
    states = encoder.image_states(pixels_of(split.images))
    texts_of = {
        name: captioner.caption(states, generator=seeded(profile().seed))
        for name, captioner in _drawn_captioners(encoder, lm, samples).items()
    }
    texts_of[HUMAN] = [texts[0] for texts in split.captions]
    return QuestionStudy(
        protocol=VqaProtocol(lm, encoder, drawn_answer_list(), drawn_prompt, batch_size=256),
        items=drawn_vqa_items("second_test", n),
        training=drawn_vqa_items("second_train", DRAWN_TRAINING),
        captions={name: dict(zip(split.ids, texts)) for name, texts in texts_of.items()},
        people=dict(zip(split.ids, split.captions)),
        image=images.__getitem__,
        note=DRAWN_NOTE,
    )


def _drawn_captioners(
    encoder: OpenClipEncoder, lm: CausalLM, samples: int
) -> dict[str, SampledMacCap | CapDec | DeCap]:
    parts = {
        name: load_drawn_prefix_network(f"drawn-{name}", encoder=encoder, language_model=lm)
        for name in CAPTIONERS
    }
    texts = list(drawn_corpus("home", DRAWN_MEMORY).captions)
    memory = MemoryBank.from_captions(encoder, texts, generator=seeded(0))
    one_pass = MacCap(
        parts["maccap"].prefix_generator, RegionTokens(), parts["maccap"].config.noise
    )
    return {
        "maccap": SampledMacCap(one_pass, encoder, samples=samples),
        "capdec": CapDec(parts["capdec"].prefix_generator),
        "decap": DeCap(parts["decap"].prefix_generator, memory),
    }


def _open_full(n: int, language_model: str | Path) -> QuestionStudy:
    folder = _data_folder()
    people = {
        image_number(i): tuple(texts) for i, texts in read_annotations(folder / ANNOTATIONS).items()
    }
    captions = _full_captions(folder) | {HUMAN: {i: texts[0] for i, texts in people.items()}}
    everywhere = set.intersection(*(set(texts) for texts in captions.values()))
    asked = [
        item
        for item in read_vqav2(*(folder / part for part in VQAV2["val"]))
        if item.image_id in everywhere
    ]
    if len(asked) < n:
        raise ValueError(
            f"{len(asked)} questions are about images that all of {sorted(captions)} caption, "
            f"wanted n = {n}: caption more of val2014, or ask for fewer: in a chapter, by "
            "VIZER_IMAGES"
        )
    device, dtype = pick_device(), model_dtype() or torch.float32
    return QuestionStudy(
        protocol=VqaProtocol(
            CausalLM.from_pretrained(language_model, device=device, dtype=dtype),
            load_full_clip(full_models()[0]),
            read_answer_list(folder / ANSWERS, sha256=None),
        ),
        items=sample_items(asked, n, generator=seeded(profile().seed)),
        training=read_vqav2(*(folder / part for part in VQAV2["train"])),
        captions=captions,
        people=people,
        image=lambda image: open_image(folder / "val2014" / val2014_name(image)),
        note=f"full profile: {language_model} on {n:,} questions of VQAv2 val",
    )


def val2014_name(image_id: str) -> str:
    """Return the file name of an image of COCO val2014.

    >>> val2014_name("42")
    'COCO_val2014_000000000042.jpg'
    """
    return f"COCO_val2014_{int(image_id):012d}.jpg"


def _full_captions(folder: Path) -> dict[str, dict[str, str]]:
    """Read every captioner's file; its name is the captioner's."""
    files = sorted((folder / "captions").glob("*.json"))
    if not files:
        raise FileNotFoundError(f"{folder}/captions contains no .json file.\n{QUESTIONS_ADVICE}")
    missing = [name for name in NEEDED if name not in {file.stem for file in files}]
    if missing:
        raise FileNotFoundError(
            f"{folder}/captions contains {', '.join(file.name for file in files)}, no "
            f"{', '.join(f'{name}.json' for name in missing)}.\n{QUESTIONS_ADVICE}"
        )
    return {
        file.stem: {image_number(i): text for i, text in read_results(file).items()}
        for file in files
    }


def image_number(image_id: int | str) -> str:
    """Return COCO's number of an image as text, from a number or a file's name.

    >>> image_number(42), image_number("COCO_val2014_000000000042.jpg"), image_number("42")
    ('42', '42', '42')
    """
    digits = Path(str(image_id)).stem.rpartition("_")[2]
    if not digits.isdigit():
        raise ValueError(
            f"image id {image_id!r} has no COCO number: wanted 42 or "
            "'COCO_val2014_000000000042.jpg'"
        )
    return str(int(digits))


def _data_folder() -> Path:
    named = env.DATA.get()
    if not named:
        raise FileNotFoundError(
            f"the full profile needs VQAv2, and VIZER_DATA is not set.\n{QUESTIONS_ADVICE}"
        )
    folder = Path(named).expanduser()
    wanted = (*VQAV2["val"], *VQAV2["train"], ANSWERS, ANNOTATIONS, "captions")
    missing = [part for part in wanted if not (folder / part).exists()]
    if missing:
        raise FileNotFoundError(
            f"VIZER_DATA={named} lacks {', '.join(missing)}.\n{QUESTIONS_ADVICE}"
        )
    return folder
