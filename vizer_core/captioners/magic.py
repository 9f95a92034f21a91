"""MAGIC: contrastive search in which CLIP votes on every word. Nothing is trained on images.

Su et al. 2022 (MAGIC), section 3.2, equations 3 to 5; the first two terms are contrastive search
(Su et al. 2022, SimCTG, section 3.2). From BOS, at each word the k likeliest candidates v are read
one step ahead, scored, and the best one is taken:

    score(v) = (1 - alpha) p(v | x) - alpha max_j cos(h_v, h_j) + beta f(v | I, x)
    f(v | I, x) = softmax over the k candidates of logit_scale cos(I, text of x and v)

symbol -> name: p -> probabilities; max_j cos(h_v, h_j) -> penalty; f -> magic.

beta = 0 is contrastive search; alpha = beta = 0 and k = 1 are greedy search.

Where we differ: all captions of a batch grow at once and the keys and values of past words are
kept, with the same result; the states h_j run over BOS and the prompt too, as in the release. The
paper tunes GPT-2 on captions with SimCTG's loss, which pushes the states of different tokens apart;
here the language model is whatever is passed, and one that was only adapted to captions has states
that the penalty separates less. A `prompt` may begin the caption, as ZeroCap's does, for a model
that would begin no caption by itself; the paper has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from vizer_core.captioners.protocol import Images, image_features_of, require_width
from vizer_core.clip import ImageTextEncoder
from vizer_core.language.causal_lm import CausalLM
from vizer_core.language.prefix import no_prefix
from vizer_core.language.stepper import StepState, pick, start, step
from vizer_core.token_loop import OverflowWatch


@dataclass(frozen=True)
class MagicConfig:
    """k, alpha, beta of MAGIC's score, and how many words to generate at most."""

    candidates: int
    max_tokens: int
    alpha: float = 0.1
    beta: float = 2.0

    def __post_init__(self) -> None:
        if min(self.candidates, self.max_tokens) < 1:
            raise ValueError(f"wanted at least 1 candidate and 1 token, got {self}")
        if not 0 <= self.alpha <= 1 or self.beta < 0:
            raise ValueError(f"wanted 0 <= alpha <= 1 and beta >= 0, got {self}")


# Section 4.1 gives k, alpha and beta by data set. The release's lengths of 16 and 20 count the
# start token, so one less is generated.
MAGIC_COCO = MagicConfig(candidates=45, max_tokens=15)
MAGIC_FLICKR = MagicConfig(candidates=25, max_tokens=19)
# For the drawn world's language model, whose captions are shorter.
MAGIC_SMALL = MagicConfig(candidates=45, max_tokens=14)


@dataclass(frozen=True, eq=False)
class Magic:
    """Generates under CLIP's guidance with a language model that never saw a prefix."""

    language_model: CausalLM
    encoder: ImageTextEncoder
    config: MagicConfig = MAGIC_COCO
    prompt: str = ""
    batch_size: int = 16
    name: str = "magic"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Search for one caption per image, without the prompt; nothing is drawn."""
        features = image_features_of(images)
        require_width(features, self.encoder.embed_dim, self.name)
        captions: list[str] = []
        for rows in features.split(self.batch_size):
            ids = magic_search(
                self.language_model, self.encoder, rows, config=self.config, prompt=self.prompt
            )
            captions += self.language_model.decode(ids)
        return captions


@torch.no_grad()
def magic_search(
    lm: CausalLM,
    encoder: ImageTextEncoder,
    image_features: Float[Tensor, "b d"],
    *,
    config: MagicConfig,
    prompt: str = "",
) -> Int[Tensor, "b t"]:
    """Generate ids for b images at once; rows that are finished are filled up with EOS.

    CLIP reads the `prompt` in front of the words; what is returned is without it.

    Raises `ValueError` where the language model's logits are no numbers (float16).
    """
    said = torch.tensor(lm.word_ids([prompt])[0] if prompt else [], dtype=torch.long)
    said = said.to(lm.device).expand(len(image_features), -1)
    state = start(lm, no_prefix(lm, len(said)), [prompt] * len(said) if prompt else None)
    watch = OverflowWatch(lm.name, lm.model.dtype)
    _require_vocabulary(config.candidates, state.logits.shape[1])
    generated = torch.zeros(len(image_features), 0, dtype=torch.long, device=lm.device)
    done = torch.zeros(len(image_features), dtype=torch.bool, device=lm.device)
    for _ in range(config.max_tokens):
        probabilities, ids = watch.look(state.logits).softmax(dim=-1).topk(config.candidates)
        ahead = _look_ahead(lm, state, ids)
        scores = (1 - config.alpha) * probabilities - config.alpha * degeneration_penalty(
            rearrange(ahead.hidden[:, -1], "(b k) h -> b k h", k=config.candidates), state.hidden
        )
        if config.beta > 0:
            texts = continuation_features(lm, encoder, torch.cat([said, generated], dim=1), ids)
            texts = texts.to(image_features.device)
            magic = magic_term(image_features, texts, logit_scale=encoder.logit_scale)
            scores = scores + config.beta * magic.to(scores.device)
        best = scores.argmax(dim=1)
        first = torch.arange(len(ids), device=ids.device) * config.candidates
        state = pick(ahead, first + best)
        chosen = ids.gather(1, best[:, None]).masked_fill(done[:, None], lm.eos_id)
        generated, done = torch.cat([generated, chosen], dim=1), done | (chosen[:, 0] == lm.eos_id)
        if bool(done.all()):
            break
    watch.require_none()
    return generated


def degeneration_penalty(
    candidate_states: Float[Tensor, "b k h"], past_states: Float[Tensor, "b t h"]
) -> Float[Tensor, "b k"]:
    """Return each candidate's greatest cosine with a state before it.

    >>> past = torch.tensor([[[1.0, 0.0]]])
    >>> degeneration_penalty(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), past)
    tensor([[1., 0.]])
    """
    if past_states.shape[1] == 0:
        raise ValueError("got no states before the candidates: wanted at least that of BOS")
    candidates, past = normalize(candidate_states, dim=-1), normalize(past_states, dim=-1)
    return einsum(candidates, past, "b k h, b t h -> b k t").amax(dim=-1)


def magic_term(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b k d"],
    *,
    logit_scale: float,
) -> Float[Tensor, "b k"]:
    """Return f: how the image shares its preference out among k continuations; rows sum to 1.

    >>> texts = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> magic_term(torch.tensor([[1.0, 0.0]]), texts, logit_scale=100.0)
    tensor([[0.5000, 0.5000]])
    """
    cosines = einsum(image_features.float(), text_features.float(), "b d, b k d -> b k")
    return (logit_scale * cosines).softmax(dim=-1)


def continuation_features(
    lm: CausalLM,
    encoder: ImageTextEncoder,
    generated: Int[Tensor, "b t"],
    candidates: Int[Tensor, "b k"],
) -> Float[Tensor, "b k d"]:
    """Return CLIP's features of each text so far with each candidate; equal texts are read once."""
    count = candidates.shape[1]
    before = generated.repeat_interleave(count, dim=0)
    texts = lm.decode(torch.cat([before, candidates.reshape(-1, 1)], dim=1))
    return rearrange(encoder.encode_text(texts), "(b k) d -> b k d", k=count)


def _look_ahead(lm: CausalLM, state: StepState, ids: Int[Tensor, "b k"]) -> StepState:
    """Read every candidate after its own row: b k rows."""
    rows = torch.arange(len(ids), device=ids.device).repeat_interleave(ids.shape[1])
    return step(lm, pick(state, rows), ids.flatten())


def _require_vocabulary(candidates: int, vocabulary: int) -> None:
    if candidates > vocabulary:
        raise ValueError(
            f"asked for {candidates} candidates of a vocabulary of {vocabulary}: wanted at most "
            f"{vocabulary}"
        )
