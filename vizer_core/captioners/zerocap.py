"""ZeroCap: at every word, bend the language model's memory towards what CLIP sees. No training.

Tewel et al. 2022 (ZeroCap), section 3, equations 3 to 6. For each word, the cached keys and values
of the words before it get an offset delta, found by 5 steps down the gradient g of

    L = CE(softmax_v(cos(I, x + v) / tau), p) + lambda KL(p || p_plain),

    delta <- delta - alpha g / |g|^.9      (a norm for each row and tensor)

The next word comes from p^a p_plain^(1 - a), scaled to sum 1; the offset is dropped again once it
is chosen. Beams are compared by log-probability over length, and of the finished beams CLIP takes
the caption nearest to the image.

symbol -> name: tau -> clip_temperature; lambda -> fluency; alpha -> step_size; a -> fusion.

Where we differ: images are batched, beams and all; CLIP reads the candidates once a word, for the
words that are likeliest before any step, and the release again at every step; the list of words
that the release holds back is not copied; a caption ends at the language model's own end mark as
well as at a full stop, because a model adapted to captions generates no full stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.captioners.magic import continuation_features
from vizer_core.captioners.protocol import Images, image_features_of, require_width
from vizer_core.clip import ImageTextEncoder
from vizer_core.language.causal_lm import CausalLM
from vizer_core.language.prefix import no_prefix
from vizer_core.language.stepper import StepState, pick, start, step
from vizer_core.textonly.filtering import Candidates, clip_scores
from vizer_core.token_loop import OverflowWatch

TINY = 1e-15  # keeps 0 / 0 out of a step without gradient


@dataclass(frozen=True)
class ZeroCapConfig:
    """ZeroCap's numbers: the gradient steps, the fusion, and the search."""

    steps: int = 5
    step_size: float = 0.3
    norm_power: float = 0.9
    fluency: float = 0.2
    clip_temperature: float = 0.01
    candidates: int = 512
    fusion: float = 0.99
    end_factor: float = 1.01
    first_end_factor: float = 1.6
    beams: int = 5
    max_tokens: int = 15

    def __post_init__(self) -> None:
        if min(self.candidates, self.beams, self.max_tokens) < 1 or self.steps < 0:
            raise ValueError(
                f"wanted at least 1 candidate, beam and token, and 0 steps or more, got {self}"
            )
        if not 0 <= self.fusion <= 1 or not self.clip_temperature > 0:
            raise ValueError(f"wanted 0 <= fusion <= 1 and clip_temperature > 0, got {self}")


# The release's defaults, for GPT-2 medium after "Image of a".
ZEROCAP = ZeroCapConfig()
# MAGIC's rerun, which MacCap's table 3 quotes: a language model tuned on COCO captions, one beam.
ZEROCAP_ADAPTED = replace(ZEROCAP, beams=1, max_tokens=16)
ZEROCAP_PROMPT = "Image of a"
# For the drawn world's language model, chosen on validation scenes. All 300 words as candidates
# hand the steps words that the model would never generate here, and the captions fall apart.
ZEROCAP_SMALL = replace(ZEROCAP_ADAPTED, candidates=100, max_tokens=14)
ZEROCAP_SMALL_PROMPT = "a photo of a"


@dataclass(frozen=True, eq=False)
class Search:
    """`beams` captions of each image so far, image by image.

    `before` has read everything but the last token, which `last` holds: the offsets go between.
    """

    before: StepState
    last: Int[Tensor, " rows"]
    generated: Int[Tensor, "rows t"]
    scores: Float[Tensor, " rows"]
    lengths: Int[Tensor, " rows"]
    done: Bool[Tensor, " rows"]


@dataclass(frozen=True, eq=False)
class ZeroCap:
    """Generates by gradient steps on cached keys and values."""

    language_model: CausalLM
    encoder: ImageTextEncoder
    config: ZeroCapConfig = ZEROCAP
    prompt: str = ZEROCAP_PROMPT
    batch_size: int = 8
    name: str = "zerocap"
    reads_patches: ClassVar[bool] = False

    def candidates(self, images: Images) -> Candidates:
        """Return every image's beams, best first by the language model, with CLIP's cosines."""
        features = image_features_of(images)
        require_width(features, self.encoder.embed_dim, self.name)
        texts: list[tuple[str, ...]] = []
        for rows in features.split(self.batch_size):
            search = self._search(rows)
            generated = self.language_model.decode(search.generated)
            texts += [
                tuple(generated[i * self.config.beams : (i + 1) * self.config.beams])
                for i in range(len(rows))
            ]
        return Candidates(tuple(texts), clip_scores(texts, features, self.encoder))

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Return the beam that CLIP likes best, without the prompt; nothing is drawn."""
        return self.candidates(images).best

    def _search(self, image_features: Float[Tensor, "b d"]) -> Search:
        search = open_search(self.language_model, self.prompt, len(image_features))
        stops = stop_ids(self.language_model)
        watch = OverflowWatch(self.language_model.name, self.language_model.model.dtype)
        for _ in range(self.config.max_tokens):
            features = image_features.repeat_interleave(
                len(search.last) // len(image_features), dim=0
            )
            plain, log_p = self._next_word(search, features, stops)
            watch.look(plain.logits)
            search = advance(search, plain, log_p, beams=self.config.beams, stops=stops)
            if bool(search.done.all()):
                break
        watch.require_none()
        return search

    def _next_word(
        self, search: Search, image_features: Float[Tensor, "rows d"], stops: tuple[int, ...]
    ) -> tuple[StepState, Float[Tensor, "rows v"]]:
        """Return the plain state after the last word, and log p of the next, bent towards CLIP."""
        lm, config = self.language_model, self.config
        with torch.no_grad():
            plain = step(lm, search.before, search.last)
            count = min(config.candidates, plain.logits.shape[1])
            likeliest = plain.logits.topk(count).indices
            texts = continuation_features(lm, self.encoder, self._said(search), likeliest)
            cosines = (texts * image_features[:, None].to(texts.device)).sum(dim=-1)
            target = clip_target(
                cosines.to(lm.device),
                likeliest,
                vocabulary=plain.logits.shape[1],
                temperature=config.clip_temperature,
            )
        logits = bent_logits(lm, search, plain.logits, target, config=config)
        factor = 1 / config.first_end_factor if not search.generated.shape[1] else config.end_factor
        return plain, fuse(
            scale_ends(logits, stops, factor=factor), plain.logits, fusion=config.fusion
        )

    def _said(self, search: Search) -> Int[Tensor, "rows t"]:
        """Return prompt and words so far: what CLIP reads in front of each candidate."""
        prompt = _prompt_ids(self.language_model, self.prompt)[1:]
        return torch.cat([prompt.expand(len(search.last), -1), search.generated], dim=1)


def bent_logits(
    lm: CausalLM,
    search: Search,
    plain_logits: Float[Tensor, "rows v"],
    target: Float[Tensor, "rows v"],
    *,
    config: ZeroCapConfig,
) -> Float[Tensor, "rows v"]:
    """Return the next word's logits after gradient steps on the cached keys and values.

    ZeroCap section 3, equation 6. With 0 steps they are `plain_logits`.
    """
    if config.steps == 0:
        return plain_logits
    flat = [tensor for pair in search.before.cache for tensor in pair]
    offsets = [torch.zeros_like(tensor) for tensor in flat]
    for _ in range(config.steps):
        offsets = [offset.detach().requires_grad_() for offset in offsets]
        logits = _shifted_logits(lm, search, flat, offsets)
        loss = zerocap_loss(logits, plain_logits, target, fluency=config.fluency).sum()
        gradients = torch.autograd.grad(loss, offsets)
        offsets = [
            offset - offset_step(g, size=config.step_size, norm_power=config.norm_power)
            for offset, g in zip(offsets, gradients)
        ]
    with torch.no_grad():
        return _shifted_logits(lm, search, flat, offsets)


def clip_target(
    cosines: Float[Tensor, "b k"],
    candidates: Int[Tensor, "b k"],
    *,
    vocabulary: int,
    temperature: float,
) -> Float[Tensor, "b v"]:
    """Spread CLIP's preference among the candidates over the vocabulary; other words get 0.

    >>> clip_target(torch.zeros(1, 2), torch.tensor([[2, 0]]), vocabulary=3, temperature=0.01)
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    target = torch.zeros(len(cosines), vocabulary, device=cosines.device)
    return target.scatter(1, candidates, (cosines.float() / temperature).softmax(dim=-1))


def zerocap_loss(
    logits: Float[Tensor, "b v"],
    plain_logits: Float[Tensor, "b v"],
    target: Float[Tensor, "b v"],
    *,
    fluency: float,
) -> Float[Tensor, " b"]:
    """Return each row's loss: cross-entropy to CLIP's target plus `fluency` times KL to the LM.

    >>> even = torch.zeros(1, 2)
    >>> zerocap_loss(even, even, torch.tensor([[1.0, 0.0]]), fluency=0.2)
    tensor([0.6931])
    """
    log_p, log_plain = logits.log_softmax(dim=-1), plain_logits.log_softmax(dim=-1)
    guidance = -(target * log_p).sum(dim=-1)
    drift = (log_p.exp() * (log_p - log_plain)).sum(dim=-1)
    return guidance + fluency * drift


def offset_step(
    gradient: Float[Tensor, "b heads t e"], *, size: float, norm_power: float
) -> Float[Tensor, "b heads t e"]:
    """Return what to take from an offset: `size` times the gradient over a power of its norm.

    >>> offset_step(torch.tensor([[[[3.0, 4.0]]]]), size=0.5, norm_power=1.0)
    tensor([[[[0.3000, 0.4000]]]])
    """
    norms = gradient.flatten(1).norm(dim=1) + TINY
    return size * gradient / norms[:, None, None, None] ** norm_power


def fuse(
    logits: Float[Tensor, "b v"], plain_logits: Float[Tensor, "b v"], *, fusion: float
) -> Float[Tensor, "b v"]:
    """Return log p for p proportional to p_shifted^fusion p_plain^(1 - fusion).

    >>> fuse(torch.tensor([[0.0, 9.0]]), torch.tensor([[0.0, 0.0]]), fusion=0.0).exp()
    tensor([[0.5000, 0.5000]])
    """
    shifted, plain = logits.log_softmax(dim=-1), plain_logits.log_softmax(dim=-1)
    return (fusion * shifted + (1 - fusion) * plain).log_softmax(dim=-1)


def scale_ends(
    logits: Float[Tensor, "rows v"], stops: Sequence[int], *, factor: float
) -> Float[Tensor, "rows v"]:
    """Make the end marks more likely (factor above 1) or less, whatever their logits' sign.

    >>> scale_ends(torch.tensor([[2.0, -2.0, 1.0]]), (0, 1), factor=2.0)
    tensor([[ 4., -1.,  1.]])
    """
    ends = logits[:, list(stops)]
    scaled = torch.where(ends > 0, ends * factor, ends / factor)
    return logits.index_copy(1, torch.tensor(list(stops), device=logits.device), scaled)


def stop_ids(lm: CausalLM) -> tuple[int, ...]:
    """Return the ids that end a caption: the model's end mark and a full stop, if it is one id."""
    full_stop = lm.word_ids(["."])[0]
    unknown = lm.tokenizer.unk_token_id
    known = full_stop if len(full_stop) == 1 and full_stop[0] != unknown else []
    return tuple(dict.fromkeys([lm.eos_id, *known]))


def open_search(lm: CausalLM, prompt: str, images: int) -> Search:
    """Start one beam per image: BOS and the prompt, its last token not yet read."""
    tokens = _prompt_ids(lm, prompt)
    if len(tokens) < 2:
        raise ValueError(
            f"the prompt {prompt!r} contains no words: ZeroCap bends the keys and values of what "
            'stands before a word. Pass a prompt such as "Image of a".'
        )
    with torch.no_grad():
        read = start(lm, no_prefix(lm, images), [prompt] * images)
    before = replace(
        read,
        cache=tuple((keys[:, :, :-1], values[:, :, :-1]) for keys, values in read.cache),
        mask=read.mask[:, :-1],
        hidden=read.hidden[:, :-1],
    )
    return Search(
        before=before,
        last=tokens[-1:].expand(images),
        generated=torch.zeros(images, 0, dtype=torch.long, device=lm.device),
        scores=torch.zeros(images, device=lm.device),
        lengths=torch.zeros(images, dtype=torch.long, device=lm.device),
        done=torch.zeros(images, dtype=torch.bool, device=lm.device),
    )


def advance(
    search: Search,
    plain: StepState,
    log_p: Float[Tensor, "rows v"],
    *,
    beams: int,
    stops: tuple[int, ...],
) -> Search:
    """Take the `beams` best continuations of each image by mean log-probability.

    The first call widens one beam per image to `beams`; a finished beam goes on with the end mark,
    at no cost and without growing.
    """
    vocabulary, now = log_p.shape[1], search.generated.shape[1]
    width = 1 if now == 0 else beams
    finished = torch.full_like(log_p, -torch.inf)
    finished[:, stops[0]] = 0.0
    log_p = torch.where(search.done[:, None], finished, log_p)
    lengths = search.lengths + (~search.done).long()
    totals = search.scores[:, None] + log_p
    means = rearrange(totals / lengths[:, None], "(n w) v -> n (w v)", w=width)
    _, indices = means.topk(beams, dim=1)
    first = torch.arange(len(means), device=indices.device)[:, None] * width
    rows, words = (first + indices // vocabulary).flatten(), (indices % vocabulary).flatten()
    ended = torch.isin(words, torch.tensor(stops, device=words.device))
    return Search(
        before=pick(plain, rows),
        last=words,
        generated=torch.cat([search.generated[rows], words[:, None]], dim=1),
        scores=totals[rows, words],
        lengths=lengths[rows],
        done=search.done[rows] | ended,
    )


def _shifted_logits(
    lm: CausalLM, search: Search, flat: list[Tensor], offsets: list[Tensor]
) -> Float[Tensor, "rows v"]:
    shifted = [tensor + offset for tensor, offset in zip(flat, offsets)]
    cache = tuple(zip(shifted[::2], shifted[1::2]))
    return step(lm, replace(search.before, cache=cache), search.last).logits


def _prompt_ids(lm: CausalLM, prompt: str) -> Int[Tensor, " t"]:
    """Return BOS and the prompt's words."""
    return torch.tensor([lm.bos_id, *lm.word_ids([prompt])[0]], device=lm.device)
