"""Each metric as a scorer: from matched captions to sufficient statistics and a signature.

A scorer says first whether it can run (`missing`), then scores. What a metric needs beyond the
captions themselves comes in `Inputs`: features for CLIPScore and self-retrieval, scenes and their
lexicon for exact grounding, a document-frequency corpus for CIDEr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.metrics import clipscore, meteor, self_retrieval, spice
from vizer_core.metrics.bertscore import BertEncoder, bertscore
from vizer_core.metrics.bleu import bleu_counts, bleu_from_counts
from vizer_core.metrics.cider import DocumentFrequency, cider_scores
from vizer_core.metrics.diversity import caption_lengths
from vizer_core.metrics.grounding import RATES, Lexicon, SceneTruth, ground_captions
from vizer_core.metrics.ngrams import NgramIndex, index_hypotheses
from vizer_core.metrics.references import ImageId, Matched
from vizer_core.metrics.rouge import rouge_l
from vizer_core.metrics.scene_graph import scene_graph_counts, scene_graph_parser
from vizer_core.metrics.stats import Statistics, mean_statistics, rate_statistics

FAMILIES: dict[str, tuple[str, ...]] = {
    "bleu": ("bleu1", "bleu2", "bleu3", "bleu4"),
    "rouge_l": ("rouge_l",),
    "cider": ("cider",),
    "length": ("length",),
    "meteor": ("meteor",),
    "clipscore": ("clipscore", "clip_cosine"),
    "refclipscore": ("refclipscore",),
    "self_retrieval": ("self_retrieval_r1",),
    "grounding": tuple(RATES),
    "spice": ("spice",),
    "scene_graph_f1": ("scene_graph_f1",),
    "bertscore": ("bertscore",),
}
"""Families of metrics that are computed together, in the order of tables."""

AUTOMATIC = (
    *("bleu", "rouge_l", "cider", "length", "meteor"),
    *("clipscore", "refclipscore", "self_retrieval", "grounding"),
)
"""What `metrics="auto"` tries; the rest is slow or needs models, and is computed by name only."""


OwnMetric = Callable[[list[str], list[list[str]]], Sequence[float]]
"""A metric of your own: captions and their references, as written -> one score per image."""


@runtime_checkable
class TextEncoder(Protocol):
    """What turns captions into features: `vizer_core.clip`'s encoders, or one of your own."""

    name: str

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Return one feature per text."""


@dataclass(frozen=True)
class Inputs:
    """What some metrics need beside captions; all features in the order of the references' ids.

    `text_prefix` is what stood before every text when its feature was made: "" is a bare caption.
    """

    image_features: Float[Tensor, "n d"] | None = None
    text_features: Float[Tensor, "n d"] | None = None
    reference_features: Float[Tensor, "m d"] | None = None  # all references, image by image
    encoder_name: str = "unnamed encoder"
    text_prefix: str = ""
    scenes: Mapping[ImageId, SceneTruth] | None = None
    lexicon: Lexicon | None = None
    df: DocumentFrequency | None = None
    bert: BertEncoder | None = None
    functions: Mapping[str, OwnMetric] = field(default_factory=dict)  # name -> a metric of yours

    def encoded(
        self,
        encoder: TextEncoder,
        captions: Sequence[str],
        *,
        references: Sequence[Sequence[str]] = (),
        prefix: str = clipscore.PREFIX,
    ) -> Inputs:
        """Return these inputs with features of `prefix` + caption, and of each reference so.

        With ViT-B/32 of OpenAI and the prefix that is the default this is the published CLIPScore.
        Without references their features stay where encoder and prefix are the same, else they are
        left out.
        """
        same = (encoder.name, prefix) == (self.encoder_name, self.text_prefix)
        kept = self.reference_features if same else None
        every = [prefix + reference for texts in references for reference in texts]
        return replace(
            self,
            text_features=encoder.encode_text([prefix + caption for caption in captions]),
            reference_features=encoder.encode_text(every) if every else kept,
            encoder_name=encoder.name,
            text_prefix=prefix,
        )

    @property
    def encoder_signature(self) -> str:
        """The encoder's part of a signature, with what stood before the captions."""
        prefix = f'"{self.text_prefix}"' if self.text_prefix else "none"
        return f"encoder:{self.encoder_name}|prefix:{prefix}"


@dataclass(frozen=True)
class Job:
    """Captions to score, with everything that several metrics share computed once."""

    matched: Matched
    inputs: Inputs

    @cached_property
    def tokens(self) -> list[str]:
        """The tokenised hypotheses."""
        return self.matched.references.tokenizer.tokenize(list(self.matched.hypotheses))

    @cached_property
    def ngrams(self) -> NgramIndex:
        """The hypotheses' n-grams, numbered as the references'."""
        return index_hypotheses(self.tokens, self.matched.references.ngrams)

    @property
    def tokenizer(self) -> str:
        """The tokenizer's part of a signature."""
        return f"tok:{self.matched.references.tokenizer.name}"


@dataclass(frozen=True)
class Scored:
    """A family's statistics, and the settings that change its numbers."""

    statistics: dict[str, Statistics]
    settings: str


def _column(sums: np.ndarray, *, order: int) -> np.ndarray:
    return bleu_from_counts(sums)[..., order]


def _bleu(job: Job) -> Scored:
    rows = bleu_counts(job.ngrams, job.matched.references.ngrams).astype(np.float64)
    names = FAMILIES["bleu"]
    statistics = {name: Statistics(rows, partial(_column, order=k)) for k, name in enumerate(names)}
    return Scored(statistics, f"{job.tokenizer}|length:closest")


def _rouge(job: Job) -> Scored:
    scores = rouge_l(job.tokens, job.matched.references.tokens)
    return Scored({"rouge_l": mean_statistics(scores)}, f"{job.tokenizer}|beta:1.2")


def _cider(job: Job) -> Scored:
    df = job.inputs.df
    scores = cider_scores(job.ngrams, job.matched.references.ngrams, df=df)
    source = f"{df.name}({df.images})" if df else f"references({len(job.matched.ids)})"
    return Scored({"cider": mean_statistics(scores)}, f"{job.tokenizer}|variant:D|df:{source}")


def _length(job: Job) -> Scored:
    return Scored({"length": mean_statistics(caption_lengths(job.tokens))}, job.tokenizer)


def _meteor(job: Job) -> Scored:
    rows = meteor.meteor_counts(job.tokens, job.matched.references.tokens)
    statistics = Statistics(rows.astype(np.float64), meteor.meteor_from_counts)
    return Scored({"meteor": statistics}, f"{job.tokenizer}|version:1.5|language:en")


def _spice(job: Job) -> Scored:
    scores = spice.spice_scores(job.matched.hypotheses, job.matched.references.captions)
    return Scored({"spice": mean_statistics(scores)}, "version:1.0|tok:own")


def _scene_graph(job: Job) -> Scored:
    counts = scene_graph_counts(job.matched.hypotheses, job.matched.references.captions)
    f1 = 2 * counts[:, 0] / np.maximum(counts[:, 1] + counts[:, 2], 1)
    return Scored({"scene_graph_f1": mean_statistics(f1)}, f"parser:{scene_graph_parser()}")


def _bertscore(job: Job) -> Scored:
    encoder = job.inputs.bert
    scores = bertscore(job.matched.hypotheses, job.matched.references.captions, encoder=encoder)
    return Scored({"bertscore": mean_statistics(scores.f1)}, encoder.signature)


def _clipscore(job: Job) -> Scored:
    images, texts = job.inputs.image_features, job.inputs.text_features
    return Scored(
        {
            "clipscore": mean_statistics(clipscore.clipscores(images, texts).cpu().numpy()),
            "clip_cosine": mean_statistics(clipscore.clip_cosines(images, texts).cpu().numpy()),
        },
        f"w:{clipscore.W}|clamp:pair|{job.inputs.encoder_signature}",
    )


def _refclipscore(job: Job) -> Scored:
    per_image = [len(captions) for captions in job.matched.references.captions]
    references = job.inputs.reference_features
    image_of = torch.arange(len(per_image)).repeat_interleave(torch.tensor(per_image))
    if len(references) != len(image_of):
        raise ValueError(
            f"got {len(references)} reference features for {len(image_of)} references: wanted one "
            "each, image by image"
        )
    scores = clipscore.refclipscores(
        job.inputs.image_features,
        job.inputs.text_features,
        references,
        image_of=image_of.to(references.device),
    )
    return Scored(
        {"refclipscore": mean_statistics(scores.cpu().numpy())},
        f"w:{clipscore.W}|clamp:image only|{job.inputs.encoder_signature}",
    )


def _self_retrieval(job: Job) -> Scored:
    hits = self_retrieval.self_retrieval_hits(
        job.inputs.image_features, job.inputs.text_features, k=1
    )
    return Scored(
        {"self_retrieval_r1": mean_statistics(hits.cpu().numpy().astype(np.float64))},
        f"gallery:{len(hits)}|{job.inputs.encoder_signature}",
    )


def _grounding(job: Job) -> Scored:
    scenes = {str(image): truth for image, truth in job.inputs.scenes.items()}
    unknown = [image for image in job.matched.ids if str(image) not in scenes]
    if unknown:
        raise ValueError(f"{len(unknown)} images have no scene truth, first {unknown[0]!r}")
    truths = [scenes[str(image)] for image in job.matched.ids]
    counts = ground_captions(job.matched.hypotheses, truths, lexicon=job.inputs.lexicon)
    found = {}
    for name, (true, said) in RATES.items():
        columns = [[getattr(c, field) for c in counts] for field in (true, said)]
        if sum(columns[1]):  # a rate of statements that nobody made does not exist
            found[name] = rate_statistics(*columns)
    return Scored(found, "truth:scene")


def own_metric(job: Job, *, name: str) -> Scored:
    """Call a function of the user's, and hold it to one finite score per image."""
    function = job.inputs.functions[name]
    references = [list(captions) for captions in job.matched.references.captions]
    scores = np.asarray(function(list(job.matched.hypotheses), references), dtype=np.float64)
    wanted = (len(job.matched.ids),)
    if scores.shape != wanted or not np.isfinite(scores).all():
        found = "NaN or inf" if scores.shape == wanted else f"shape {scores.shape}"
        raise ValueError(f"the function {name} gave {found}, wanted {wanted[0]} finite scores")
    where = (
        f"{function.__module__}:{function.__qualname__}"
        if hasattr(function, "__qualname__")
        else name
    )
    return Scored({name: mean_statistics(scores)}, f"function:{where}")


SCORERS: dict[str, Callable[[Job], Scored]] = {
    "bleu": _bleu,
    "rouge_l": _rouge,
    "cider": _cider,
    "length": _length,
    "meteor": _meteor,
    "clipscore": _clipscore,
    "refclipscore": _refclipscore,
    "self_retrieval": _self_retrieval,
    "grounding": _grounding,
    "spice": _spice,
    "scene_graph_f1": _scene_graph,
    "bertscore": _bertscore,
}


def missing(family: str, inputs: Inputs) -> str | None:
    """Say why a family of metrics cannot run here, or None where it can."""
    pair = inputs.image_features is None or inputs.text_features is None
    reasons: dict[str, Callable[[], str | None]] = {
        "meteor": meteor.missing,
        "spice": spice.missing,
        "scene_graph_f1": _missing_parser,
        "clipscore": lambda: "needs image_features and text_features" if pair else None,
        "self_retrieval": lambda: "needs image_features and text_features" if pair else None,
        "refclipscore": lambda: (
            "needs image_features, text_features and reference_features"
            if pair or inputs.reference_features is None
            else None
        ),
        "grounding": lambda: (
            "needs scenes and a lexicon" if not inputs.scenes or not inputs.lexicon else None
        ),
        "bertscore": lambda: "needs an encoder: Inputs(bert=...)" if not inputs.bert else None,
    }
    return reasons[family]() if family in reasons else None


def _missing_parser() -> str | None:
    try:
        scene_graph_parser()
    except ImportError as error:
        return " ".join(str(error).split())
    return None
