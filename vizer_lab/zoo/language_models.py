"""The shipped language models, their recipes and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vizer_core.decoding import Greedy
from vizer_core.files import load_tensors
from vizer_core.language import CausalLM, nats_per_token, no_prefix, token_log_probs
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.questions import question_text, questions_of
from vizer_lab.world.world import split_in
from vizer_lab.zoo.drawn_recipes import LM_RECIPE
from vizer_lab.zoo.lm_corpus import CORPUS_SEED, tags_of
from vizer_lab.zoo.lm_model import DrawnLMConfig, build_drawn_lm, drawn_lm_tokenizer
from vizer_lab.zoo.lm_train import put_weights, train_drawn_lm, weights_of
from vizer_lab.zoo.shipped_model import ShippedModel, Trained, by_name, fp16, named, thinned

HELD_OUT = 1000  # scenes a score is taken on
ASKED_AT_ONCE = 256  # questions; all at once would take twice as long
TAGS = 4
TOKENS_PER_CPU_SECOND = 12_000  # one core, with nothing beside it, the corpus included
NOTE = (
    "The corpus holds documents of words before a caption, as training for prefixes in form; see "
    "vizer_lab/zoo/lm_corpus.py."
)


@dataclass(frozen=True)
class ShippedLM(ShippedModel):
    """A shipped language model; `recipe` is an `LMRecipe`."""

    kind: ClassVar[str] = "language_model"
    gibibytes: ClassVar[int] = 1

    @property
    def work(self) -> str:
        return f"{self.recipe.tokens:,} tokens"

    @property
    def cpu_seconds(self) -> float:
        return self.recipe.tokens / TOKENS_PER_CPU_SECOND

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        model, losses = train_drawn_lm(
            self.recipe, device=device, checkpoint=self.run_file(folder), progress=progress
        )
        state = fp16(weights_of(model))
        metadata = {
            "tokens": self.recipe.tokens,
            "parameters": sum(p.numel() for p in model.parameters()),
            "loss": thinned(losses),
            "note": NOTE,
        }
        return Trained(self.wrap(state, device), metadata, state)

    def wrap(self, state: Mapping[str, Tensor], device: str) -> CausalLM:
        return lm_from_state(self.name, self.recipe.model, state, device)

    def score(self, model: CausalLM) -> dict[str, float]:
        """Measure the model on captions and questions of its world's test scenes."""
        return score_drawn_lm(model, HELD_OUT, world=self.recipe.model.world)


LANGUAGE_MODELS: dict[str, ShippedLM] = by_name(
    ShippedLM("drawn-lm", LM_RECIPE),
)


def load_drawn_lm(device: str = "cpu", name: str = "drawn-lm") -> CausalLM:
    """Load a shipped language model; its weights are read once and checked.

    Each call gives a model of its own: unfreezing or training one leaves the others as shipped.
    """
    model = named(LANGUAGE_MODELS, name)
    return model.wrap(_shipped_state(name), device)


@cache
def _shipped_state(name: str) -> dict[str, Tensor]:
    return load_tensors(LANGUAGE_MODELS[name].path())[0]


def lm_from_state(
    name: str,
    config: DrawnLMConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> CausalLM:
    """Wrap a drawn language model's weights as a `CausalLM`, in float32."""
    model = build_drawn_lm(config)
    put_weights(model, dict(state))
    return CausalLM.from_model(model.to(device), drawn_lm_tokenizer(config.world), name)


def score_drawn_lm(
    lm: CausalLM, scenes: int = HELD_OUT, *, world: str = "second"
) -> dict[str, float]:
    """Measure a drawn language model on scenes of the test splits, which it never read.

    `home_nats`, `away_nats`: nats per token of captions from BOS; `tagged_nats`: of describing
    captions after four of their own words; `answers`: share of questions answered right after one
    caption of the scene, which need not contain the answer; `answers_blind`: without a caption.
    """
    home, away = (DrawnSplit(split_in(world, part), scenes) for part in ("test", "away_test"))
    captions = [text for texts in home.captions for text in texts]
    foreign = [text for texts in away.captions for text in texts]
    return {
        "home_nats": round(nats_per_token(lm, captions), 4),
        "away_nats": round(nats_per_token(lm, foreign), 4),
        "tagged_nats": round(_tagged_nats(lm, [texts[0] for texts in home.captions]), 4),
        "answers": round(_answers(lm, home, with_caption=True), 4),
        "answers_blind": round(_answers(lm, home, with_caption=False), 4),
    }


@torch.no_grad()
def _tagged_nats(lm: CausalLM, captions: Sequence[str]) -> float:
    rng = np.random.default_rng(CORPUS_SEED)
    ids = [lm.tokenizer.convert_tokens_to_ids(tags_of(text, TAGS, rng)) for text in captions]
    tokens = lm.tokenize(captions)
    prefix = lm.embed(torch.tensor(ids, device=lm.device))
    return -float(token_log_probs(lm, prefix, tokens).sum()) / int(tokens.mask[:, 1:].sum())


def _answers(lm: CausalLM, data: DrawnSplit, *, with_caption: bool) -> float:
    asked = [
        (
            question_text(question.text, texts[0] if with_caption else None),
            question.answer,
        )
        for scene, texts in zip(data.scenes, data.captions)
        for question in questions_of(scene)
    ]
    asked.sort(key=lambda pair: len(pair[0].split()))  # rows of one length: little padding to read
    right = 0
    for start in range(0, len(asked), ASKED_AT_ONCE):
        prompts, answers = zip(*asked[start : start + ASKED_AT_ONCE])
        generated = lm.generate(no_prefix(lm, len(prompts)), decoding=Greedy(4), prompts=prompts)
        right += sum(text == answer for text, answer in zip(generated.texts, answers))
    return right / len(asked)
