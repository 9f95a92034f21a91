"""The shipped micro language model: how it is made, where it lies, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vizer_core.decoding import Greedy
from vizer_core.language import CausalLM, nats_per_token, no_prefix, token_log_probs
from vizer_core.runtime import git_commit, hardware
from vizer_core.store import load_manifest, load_tensors, remove_tensors, save_tensors
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.questions import question_text, questions_of
from vizer_lab.zoo.lm_corpus import CORPUS_SEED, tags_of
from vizer_lab.zoo.lm_model import (
    MicroLMConfig,
    build_micro_lm,
    micro_lm_tokenizer,
)
from vizer_lab.zoo.lm_recipe import LMRecipe
from vizer_lab.zoo.lm_train import put_weights, train_micro_lm, weights_of

WEIGHTS = Path(__file__).parent / "weights"
HELD_OUT = 1000  # scenes a score is taken on
ASKED_AT_ONCE = 256  # questions; all at once would take twice as long
TAGS = 4
CHECK_TOLERANCE = 0.01  # the shipped weights scored here against scored where they were made
LM_SCORE_TOLERANCE = 0.05  # a remade model against the shipped one
TOKENS_PER_CPU_SECOND = 12_000  # one core, with nothing beside it, the corpus included

LM_RECIPES: dict[str, LMRecipe] = {
    "micro-lm": LMRecipe(MicroLMConfig(), steps=1400, batch=32, learning_rate=2e-3),
}


def lm_weights_path(name: str, folder: Path = WEIGHTS) -> Path:
    """Return where a micro language model's weights lie."""
    if name not in LM_RECIPES:
        raise ValueError(f"no micro language model {name!r}: wanted one of {sorted(LM_RECIPES)}")
    return Path(folder) / f"{name}.safetensors"


def lm_from_state(
    name: str,
    config: MicroLMConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> CausalLM:
    """Wrap a micro language model's weights as a `CausalLM`, in float32."""
    model = build_micro_lm(config)
    put_weights(model, dict(state))
    return CausalLM.from_model(model.to(device), micro_lm_tokenizer(), name)


@cache
def _shipped_state(name: str) -> dict[str, Tensor]:
    return load_tensors(lm_weights_path(name))[0]


def load_micro_lm(device: str = "cpu", name: str = "micro-lm") -> CausalLM:
    """Load the shipped micro language model; its weights are read once and checked.

    Each call gives a model of its own: unfreezing or training one leaves the others as shipped.
    """
    return lm_from_state(name, LM_RECIPES[name].model, _shipped_state(name), device)


def score_micro_lm(lm: CausalLM, scenes: int = HELD_OUT) -> dict[str, float]:
    """Measure a micro language model on scenes of the test splits, which it never read.

    `home_nats`, `away_nats`: nats a token of captions from BOS; `tagged_nats`: of describing
    captions after four of their own words; `answers`: share of questions answered right after one
    caption of the scene, which need not hold the answer; `answers_blind`: without a caption.
    """
    home, away = MicroSplit("test", scenes), MicroSplit("away_test", scenes)
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


def _answers(lm: CausalLM, data: MicroSplit, *, with_caption: bool) -> float:
    asked = [
        (question_text(question.text, texts[0] if with_caption else None), question.answer)
        for scene, texts in zip(data.scenes, data.captions)
        for question in questions_of(scene)
    ]
    asked.sort(key=lambda pair: len(pair[0].split()))  # rows of one length: little padding to read
    right = 0
    for start in range(0, len(asked), ASKED_AT_ONCE):
        prompts, answers = zip(*asked[start : start + ASKED_AT_ONCE])
        written = lm.generate(no_prefix(lm, len(prompts)), decoding=Greedy(4), prompts=prompts)
        right += sum(text == answer for text, answer in zip(written.texts, answers))
    return right / len(asked)


def build_micro_lm_weights(
    name: str = "micro-lm", *, folder: Path = WEIGHTS, device: str = "cpu", progress: bool = False
) -> dict[str, Any]:
    """Train a shipped language model by its recipe, score it, and write weights and manifest.

    A killed run goes on from `folder/name.run.safetensors`. Returns the manifest.
    """
    path, recipe = lm_weights_path(name, folder), LM_RECIPES[name]
    checkpoint = path.with_name(f"{name}.run.safetensors")
    model, losses = train_micro_lm(recipe, device=device, checkpoint=checkpoint, progress=progress)
    state = {key: value.half().cpu() for key, value in weights_of(model).items()}
    manifest = {
        "name": name,
        "command": f"vizer lab --rebuild --only {name}",
        "recipe": recipe.to_dict(),
        "tokens": recipe.tokens,
        "parameters": sum(p.numel() for p in model.parameters()),
        "scores": score_micro_lm(lm_from_state(name, recipe.model, state, device), HELD_OUT),
        "loss": _thinned(losses),
        "hardware": hardware() if device != "cpu" else f"CPU, torch {torch.__version__}",
        "commit": git_commit(),
        "note": "The corpus holds documents of words before a caption, as training for prefixes "
        "in form; see vizer_lab/zoo/lm_corpus.py.",
    }
    save_tensors(path, state, manifest)
    remove_tensors(checkpoint)
    return load_manifest(path)


def _thinned(losses: Sequence[float], keep: int = 100) -> dict[str, Any]:
    """Keep about `keep` means of consecutive losses, enough to draw the curve."""
    block = max(1, len(losses) // keep)
    blocks = [losses[i : i + block] for i in range(0, len(losses), block)]
    return {"every": block, "mean": [round(sum(part) / len(part), 4) for part in blocks]}


def lm_build_cost(names: Sequence[str]) -> str:
    """Say what training these models will cost, before it starts."""
    tokens = sum(LM_RECIPES[name].tokens for name in names)
    minutes = tokens / TOKENS_PER_CPU_SECOND / 60
    return (
        f"{', '.join(names)}: {tokens:,} tokens, about {minutes:.0f} minutes of one CPU core, "
        "1 GiB of memory. A stopped run goes on where it was."
    )


def check_lms(names: Sequence[str], folder: Path = WEIGHTS) -> dict[str, dict[str, float]]:
    """Score shipped language models again and compare with their manifests.

    Raises `ValueError` naming the model and the score when one is off by more than rounding.
    """
    found = {}
    for name in names:
        state, manifest = load_tensors(lm_weights_path(name, folder))
        scores = score_micro_lm(lm_from_state(name, LM_RECIPES[name].model, state), HELD_OUT)
        for metric, stored in manifest["scores"].items():
            if abs(scores[metric] - stored) > CHECK_TOLERANCE:
                raise ValueError(
                    f"{name}: {metric} is {scores[metric]:.4f} here, but {stored:.4f} in its "
                    "manifest. The captions or a library changed; `vizer lab --rebuild` trains it "
                    "again."
                )
        found[name] = scores
    return found
