"""What the captioning study works on: two domains, their texts and images, encoded once.

========  ==========================  =======================================
domain    texts                       images
========  ==========================  =======================================
home      describing captions         ten places
away      captions of web posts       six other places
========  ==========================  =======================================

In-domain is home texts for home images; across domains one of the two comes from away. All are the
drawn world. CLIP is drawn-clip-50, whose gap is about the size that real CLIP's
has; drawn-clip-100, with a larger gap, and drawn-clip-avg, whose patches are trained, stand beside
it. The judge of CLIPScore is another of the three: they descend from one parent, so no judge here
was trained apart, and CLIPScore decides nothing. Encodings lie in the run's folder, so that every
cell of the grid reads them and none computes them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from vizer_core.clip import ImageStates, OpenClipEncoder
from vizer_core.data.corpus import corpus_of_captions
from vizer_core.files import load_tensors, read_json, save_tensors, write_json
from vizer_core.textonly import TrainingPairs
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.clips import pixels_of

CLIP, LARGE_GAP, TRAINED_PATCHES = "drawn-clip-50", "drawn-clip-100", "drawn-clip-avg"
LANGUAGE_MODEL = "drawn-lm"
JUDGES = {CLIP: TRAINED_PATCHES, LARGE_GAP: TRAINED_PATCHES, TRAINED_PATCHES: CLIP}
TEXTS = {"home": "second_train", "away": "second_away_train"}
IMAGES = {
    ("home", "validation"): "second_validation",
    ("home", "test"): "second_test",
    ("away", "validation"): "second_away_validation",
    ("away", "test"): "second_away_test",
}
FIRST_TRAINING_SCENES = 8000  # scenes whose captions make a corpus: about 30,000 different ones


def split_of(domain: str, part: str, n: int) -> DrawnSplit:
    """Return the first n scenes of a domain's validation or test images."""
    return DrawnSplit(IMAGES[domain, part], n)


def _states_path(runs: str, clip: str, domain: str, part: str, n: int) -> Path:
    return Path(runs) / "encoded" / f"{clip}-{domain}-{part}-{n}.safetensors"


def _corpus_path(runs: str, clip: str, domain: str, scenes: int) -> Path:
    return Path(runs) / "encoded" / f"{clip}-{domain}-texts-{scenes}.safetensors"


def encode(runs: str, clip: str, *, n: int, scenes: int) -> None:
    """Encode images and corpora that are not there yet."""
    encoder = load_drawn_clip(clip)
    for domain, part in IMAGES:
        path = _states_path(runs, clip, domain, part, n)
        if not path.is_file():
            states = encoder.image_states(pixels_of(split_of(domain, part, n).images))
            states.save(path, {"model": clip})
    for domain in TEXTS:
        path = _corpus_path(runs, clip, domain, scenes)
        if not path.is_file():
            _encode_corpus(encoder, domain, scenes, path)


def _encode_corpus(encoder: OpenClipEncoder, domain: str, scenes: int, path: Path) -> None:
    """Encode the different captions of a domain, and the images they were written for."""
    split = _training_split(domain, scenes)
    images = encoder.encode_image(pixels_of(split.images))
    shown = [(text, index) for index, texts in enumerate(split.captions) for text in texts]
    corpus = corpus_of_captions(domain, [text for text, _ in shown]).deduplicate()
    first = {text: index for text, index in reversed(shown)}
    rows = torch.tensor([first[text] for text in corpus.captions])
    write_json(path.with_suffix(".captions.json"), list(corpus.captions))
    save_tensors(
        path,
        {"texts": encoder.encode_text(list(corpus.captions)), "images": images[rows]},
        {"model": encoder.name, "domain": domain, "scenes": scenes, "corpus": corpus.sha256},
    )


@cache
def _training_split(domain: str, scenes: int) -> DrawnSplit:
    return DrawnSplit(TEXTS[domain], scenes)


@cache
def states(runs: str, clip: str, domain: str, part: str, n: int) -> ImageStates:
    """Return the encoded images of a domain."""
    return ImageStates.load(_states_path(runs, clip, domain, part, n))


@cache
def _corpus(
    runs: str, clip: str, domain: str, scenes: int
) -> tuple[tuple[str, ...], Tensor, Tensor]:
    path = _corpus_path(runs, clip, domain, scenes)
    tensors, _ = load_tensors(path)
    captions = read_json(path.with_suffix(".captions.json"))
    return tuple(captions), tensors["texts"], tensors["images"]


def text_pairs(runs: str, clip: str, domain: str, scenes: int) -> TrainingPairs:
    """Return a domain's captions with their own text features: what text-only training reads."""
    captions, texts, _ = _corpus(runs, clip, domain, scenes)
    return TrainingPairs(texts, captions)


def image_pairs(runs: str, clip: str, domain: str, scenes: int) -> TrainingPairs:
    """Return the same captions with their image's feature: what the supervised bound reads."""
    captions, _, images = _corpus(runs, clip, domain, scenes)
    return TrainingPairs(images, captions)
