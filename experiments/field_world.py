"""What the study of the field looks at: bases, test scenes, crops of them, CLIPs and a reader.

==============  =================================================================================
bases           drawn-vlm-web: web habits; drawn-vlm-poor: too little sight; drawn-vlm-general:
                web habits too, last
ranker          drawn-clip-50: ranks, verifies, rewards; it read captions of the world
judge           drawn-clip-avg: CLIPScore. Both descend from one parent, so it decides nothing
reader          drawn-lm: answers questions from a caption alone
==============  =================================================================================

Test scenes are those of the study of unlabelled images; labelled training scenes begin where no
base was trained.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments import improvement_world as world
from experiments.scoring import Exam, score
from vizer_core.clip import OpenClipEncoder
from vizer_core.metrics.grounding import check_caption, parse_caption
from vizer_core.metrics.statements import statement_statistics
from vizer_core.metrics.stats import Statistics
from vizer_core.vizer.sampled import grounding_statistics
from vizer_core.vlm import VisionBatch
from vizer_core.vlm.crops import QUARTERS, Box, crops_of
from vizer_core.vqa.answering import VqaProtocol
from vizer_core.vqa.reader import LanguageReader
from vizer_lab.world import DrawnSplit, drawn_lexicon
from vizer_lab.world.vqa_items import drawn_answer_list, drawn_prompt
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of
from vizer_lab.zoo.language_models import load_drawn_lm

BASES = ("drawn-vlm-web", "drawn-vlm-poor", "drawn-vlm-general")
RANKER, JUDGE, READER = "drawn-clip-50", "drawn-clip-avg", "drawn-lm"
WORD = "a"  # what view agreement chooses for -web and -general; for -poor it chose no word
OBJECTS = ("object_precision", "object_recall", "object_f1")
N, LABELLED_FROM = 300, world.WRITTEN_FROM
VIEWS_FROM = 400_000  # training scenes that no drawn CLIP was trained on


def ranker() -> OpenClipEncoder:
    """Return the CLIP that ranks and verifies."""
    return load_drawn_clip(RANKER)


@cache
def reader() -> LanguageReader:
    """Return who answers questions from captions alone."""
    protocol = VqaProtocol(load_drawn_lm(name=READER), ranker(), drawn_answer_list(), drawn_prompt)
    return LanguageReader(protocol)


def split_of(n: int, part: str = "test") -> DrawnSplit:
    """Return n fresh scenes."""
    return world.scenes_of(BASES[0], part, n)


@lru_cache(maxsize=4)
def seen(base: str, n: int, part: str = "test") -> VisionBatch:
    """Return the scenes of a part as a base sees them."""
    return world.encode(world.load_once(base), split_of(n, part).images)


@lru_cache(maxsize=2)
def clip_features(n: int, part: str = "test") -> Tensor:
    """Return the scenes of a part as the ranker sees them."""
    return ranker().encode_image(pixels_of(split_of(n, part).images))


@lru_cache(maxsize=2)
def exam(n: int) -> Exam:
    """Return the test scenes with references and judge."""
    return Exam.of(split_of(n), load_drawn_clip(JUDGE))


def boxed(images: np.ndarray, boxes: list[Box]) -> np.ndarray:
    """Cut one box out of each image, and make it as large as the image was."""
    cuts = [crops_of(Image.fromarray(image), [box])[0] for image, box in zip(images, boxes)]
    size = images.shape[1:3]
    return np.stack([np.asarray(cut.resize(size, Image.Resampling.BILINEAR)) for cut in cuts])


@lru_cache(maxsize=2)
def quarters(base: str, n: int, part: str = "test") -> tuple[VisionBatch, ...]:
    """Return four crops of each scene of a part as a base sees them."""
    images, vlm = split_of(n, part).images, world.load_once(base)
    return tuple(world.encode(vlm, boxed(images, [box] * n)) for box in QUARTERS)


def statistics_of(captions: list[str], n: int) -> dict[str, Statistics]:
    """Return every metric of captions of the test scenes, with what intervals need."""
    torch.set_num_threads(1)
    about = exam(n)
    found = score(captions, about)
    truths = [scene.truth for scene in about.split.scenes]
    exact = grounding_statistics([[text] for text in captions], truths, lexicon=about.lexicon)
    found |= {m: exact[m] for m in ("count_accuracy", "attribute_accuracy") if m in exact}
    counts = [
        check_caption(parse_caption(text, about.lexicon), truth)
        for text, truth in zip(captions, truths, strict=True)
    ]
    return found | statement_statistics(counts)


def named_objects(captions: list[str], n: int, part: str) -> dict[str, float]:
    """Return precision, recall and F1 of the objects that captions of a part's scenes name."""
    truths = [scene.truth for scene in split_of(n, part).scenes]
    exact = grounding_statistics([[text] for text in captions], truths, lexicon=drawn_lexicon())
    return {name: round(exact[name].score, 5) for name in OBJECTS}
