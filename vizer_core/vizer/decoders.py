"""Ways of decoding by name: what `vizer caption --decoder` and the studies' grids can do untrained.

============  ====================================================================================
guidance      each word by what the image adds to it (`vlm.side_by_side.guided`)
consensus     of 8 drawn captions the one that agrees best with the others (minimum Bayes risk)
information   of the same 8 the one of most information (`information`); rank by one's own model
diverse       4 diverse beams, the one of most information
fused         beam search's caption, kept where the 8 agree, with what they agree on added
checked       the same, nothing added
contrasted    beam search's caption without what is as likely under other images
============  ====================================================================================

`fused`, `checked` and `contrasted` write a list of things and a place, without openings such as
"stock photo of". Other habits of the web ("for sale") are statements to them, and what all samples
say by habit is agreed on: give a model of such captions a first word.

`guidance`, `information`, `diverse` and `contrasted` compare with the other images of a batch:
they want at least two. `verify` says where the last three are from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vizer_core.decoding import Beam, Sample, Style
from vizer_core.vizer.agreement import agreement, word_weights
from vizer_core.vizer.best_of_n import best_index
from vizer_core.vizer.generate_captions import vision_batches
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.policy_gradient import group_rewards
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.verify import Rows, information_scores, rewritten, vote_scores
from vizer_core.vlm.protocol import VisionBatch
from vizer_core.vlm.side_by_side import decode_together, diverse, guided, mean_image

DRAWN, COOL, GROUPS, BEAMS, MAX_TOKENS = 8, 0.7, 4, 4, 32
PRIOR, OTHERS = 0.5, 4  # weight of the prior of other images, and how many those are
FUSE, CHECK, CONTRAST = 0.35, 0.25, -1.0  # shares of votes; nats


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch of images, and what every decoder wants to know."""

    vlm: Any
    vision: VisionBatch
    prompt: str
    word: str
    max_tokens: int
    generator: torch.Generator

    def told(self, texts: Sequence[str]) -> list[str]:
        """Put the word that the prompt ended in before texts."""
        return [f"{self.word} {text}".strip() for text in texts]

    def beam(self) -> list[str]:
        """Search by beam."""
        rule = Beam(BEAMS, max_tokens=self.max_tokens)
        return self.told(self.vlm.generate(self.vision, decoding=rule, prompt=self.prompt).texts)

    def drawn(self) -> list[list[str]]:
        """Draw `DRAWN` captions per image."""
        rule = Sample(COOL, max_tokens=self.max_tokens)
        texts = self.vlm.generate(
            self.vision,
            decoding=rule,
            samples=DRAWN,
            prompt=self.prompt,
            generator=self.generator,
        ).texts
        return [self.told(texts[i : i + DRAWN]) for i in range(0, len(texts), DRAWN)]

    def together(self, groups: Sequence[VisionBatch], choose: Any) -> list[list[str]]:
        """Decode groups side by side."""
        rows = decode_together(
            self.vlm, groups, choose, prompt=self.prompt, max_tokens=self.max_tokens
        )
        return [self.told(row) for row in rows]

    def best(self, rows: Rows) -> list[str]:
        """Return of each image's captions the one of most information."""
        reward = InformationReward(self.vlm, PRIOR, others=OTHERS)
        captions = self.vlm.tokenize([text for row in rows for text in row])
        scores = group_rewards(reward, self.vision, captions)
        return _chosen(rows, scores)


def _chosen(rows: Rows, scores: torch.Tensor) -> list[str]:
    best = best_index(scores, of=scores.shape[1]).tolist()
    return [row[index] for row, index in zip(rows, best, strict=True)]


def _guidance(asked: Asked) -> list[str]:
    return asked.together([asked.vision, mean_image(asked.vision)], guided)[0]


def _consensus(asked: Asked) -> list[str]:
    rows = asked.drawn()
    weights = word_weights([text for row in rows for text in row])
    return _chosen(rows, agreement(rows, weights=weights))


def _diverse(asked: Asked) -> list[str]:
    groups = asked.together([asked.vision] * GROUPS, diverse)
    return asked.best([list(row) for row in zip(*groups, strict=True)])


def _by_votes(asked: Asked, least: float, *, add: bool) -> list[str]:
    seeds, drawn = asked.beam(), asked.drawn()
    rows = [[seed, *row] for seed, row in zip(seeds, drawn, strict=True)]
    return rewritten(seeds, vote_scores(rows, drawn), least=least, add=add)


def _contrasted(asked: Asked) -> list[str]:
    seeds = asked.beam()
    scores = information_scores(asked.vlm, asked.vision, [[s] for s in seeds], others=OTHERS)
    return rewritten(seeds, scores, least=CONTRAST, add=False)


DECODERS: dict[str, Callable[[Asked], list[str]]] = {
    "guidance": _guidance,
    "consensus": _consensus,
    "information": lambda asked: asked.best(asked.drawn()),
    "diverse": _diverse,
    "fused": lambda asked: _by_votes(asked, FUSE, add=True),
    "checked": lambda asked: _by_votes(asked, CHECK, add=False),
    "contrasted": _contrasted,
}
COMPARING = ("guidance", "information", "diverse", "contrasted")  # with other images of a batch


def decode_with(
    name: str,
    vlm: Any,
    source: VisionSource,
    *,
    word: str = "",
    style: Style | None = None,
    generator: torch.Generator,
    batch: int = 64,
) -> list[str]:
    """Caption images by a decoder's name, `word` given first; rewritten captions may drop it.

    Raises `ValueError` on an unknown name, and where a decoder that compares gets one image.
    """
    if name not in DECODERS:
        raise ValueError(f"no decoder {name!r}: wanted one of {', '.join(DECODERS)}")
    style = style or Style()
    asks = vlm.default_prompt if style.prompt is None else style.prompt
    asks, limit = f"{asks} {word}" if word else asks, style.max_tokens or MAX_TOKENS
    texts: list[str] = []
    for vision in vision_batches(source, batch=_whole(len(source), batch, name)):
        texts += DECODERS[name](Asked(vlm, vision, asks, word, limit, generator))
    return texts


def _whole(images: int, batch: int, name: str) -> int:
    """Return a batch size that leaves no image alone where images are compared."""
    if name not in COMPARING:
        return batch
    if images < 2 or batch < 2:
        raise ValueError(f"{name} compares images of a batch: got {min(images, batch)}, wanted 2")
    while images % batch == 1:
        batch += 1
    return batch
