"""Time ViZer's two phases: a zero-label step against the naive one, and a mapper on 40,000 pairs.

    python benchmarks/vizer.py            # minutes; writes results/vizer_benchmark.json
    python benchmarks/vizer.py --quick    # the drawn model only, fewer pairs; writes nothing

The naive step is what one writes first: captions from pixels, then a forward pass from pixels with
all hidden states and all logits. Vision runs twice, the LM head runs over every position. It comes
in two kinds: without a cache, where every word runs the text model over all words before it
(`step_speedup`), and with the key-value cache of transformers' `generate` (`step_speedup_kv`).
Ours is `train_adapter`'s step; `step_speedup_encoded` is without a cache against ours on images
that were encoded before, as they are when several runs share them. All get the same pixels, LoRA,
mapper and optimizer, in one process, taking turns; times are CPU seconds of one thread, the best
of several. The drawn VLM is the shipped one; at SmolVLM-256M's size the weights are random.
`loss_difference` and `gradient_difference` compare both steps on the same tokens. The last line of
stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.decoding import Sample
from vizer_core.files import write_json
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.lora import add_lora, lora_parameters
from vizer_core.vizer.mapper import FittedMapper, MapperConfig, random_mapper
from vizer_core.vizer.objectives import ImageContext
from vizer_core.vizer.rollout import Rollout
from vizer_core.vizer.targets import VisionSource, centre
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_mapper import FitConfig, fit_mapper
from vizer_core.vlm import CaptionBatch, SmolVlm, VisionBatch
from vizer_lab.world.data import DrawnSplit
from vizer_lab.zoo.vlm_images import pixel_values_of
from vizer_lab.zoo.vlm_processor import (
    drawn_vlm_processor,
    drawn_vlm_tokenizer,
)
from vizer_lab.zoo.vlms import load_drawn_vlm

ROOT = Path(__file__).resolve().parent.parent
PAIRS, SMOLVLM_BASE = 40_000, (2048, 1152)
SMOLVLM_256M = {
    "text": (576, 30, 9, 3, 1536, 49_280),  # width, layers, heads, key-value heads, ffn, vocabulary
    "vision": (768, 12, 12, 3072, 512, 16),  # width, layers, heads, ffn, pixels, patch
    "shuffle": 4,
}


@dataclass(frozen=True)
class Bench:
    """A model with LoRA, its images as pixels, and how many tokens per caption gets."""

    vlm: SmolVlm
    pixels: Tensor
    tokens: int
    fitted: FittedMapper

    @property
    def grid(self) -> Tensor:
        """One tile an image."""
        return torch.tensor([[1, 0, 0]] * len(self.pixels))

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, indices: list[int]) -> VisionBatch:
        """Encode pixels: the source that `train_adapter` draws from."""
        return self.vlm.encode_pixels(self.pixels[indices], self.grid[indices]).numbered(indices)


def note(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def with_lora(vlm: SmolVlm, pixels: Tensor, tokens: int) -> Bench:
    """Add LoRA of the paper's size and a random mapper of its shape."""
    add_lora(vlm, generator=seeded(1))
    seen = vlm.encode_pixels(pixels[:2], torch.tensor([[1, 0, 0]] * 2))
    config = MapperConfig(vlm.lm_width, vlm.vision_width)
    fitted = random_mapper(config, centre(seen.image_features), generator=seeded(2))
    return Bench(vlm, pixels, tokens, fitted)


def drawn_bench(images: int) -> Bench:
    """The shipped drawn VLM on images of the drawn world; captions end where it ends them."""
    pixels = pixel_values_of(DrawnSplit("second_test", images).images)[:, 0]
    return with_lora(load_drawn_vlm(), pixels, tokens=24)


def large_bench(images: int) -> Bench:
    """SmolVLM-256M's architecture with random weights, one tile of 512 pixels."""
    import transformers

    width, layers, heads, kv, ffn, vocabulary = SMOLVLM_256M["text"]
    tokenizer = drawn_vlm_tokenizer()
    text = transformers.LlamaConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        intermediate_size=ffn,
        vocab_size=vocabulary,
        max_position_embeddings=8192,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    vision = dict(zip((*names, "image_size", "patch_size"), SMOLVLM_256M["vision"], strict=True))
    config = transformers.Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=SMOLVLM_256M["shuffle"],
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=text.pad_token_id,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = transformers.Idefics3ForConditionalGeneration(config)
    size, tokens = vision["image_size"], (vision["image_size"] // vision["patch_size"]) ** 2
    processor = drawn_vlm_processor(tokens // config.scale_factor**2, size)
    vlm = SmolVlm(model, processor, "random-smolvlm-256m")
    pixels = torch.rand(images, 3, size, size, generator=seeded(0)) * 2 - 1
    return with_lora(vlm, pixels, tokens=16)


def prompt_of(bench: Bench) -> dict[str, Tensor]:
    """Return a prompt's ids as the processor writes them, repeated for every image."""
    ids = torch.tensor([bench.vlm.prompt_ids((1, 0, 0), bench.vlm.default_prompt)] * len(bench))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def naive_generate(bench: Bench, *, cache: bool) -> Tensor:
    """Write captions from pixels, with transformers' `generate` or word by word from the start."""
    prompt, vlm = prompt_of(bench), bench.vlm
    with torch.no_grad():
        if cache:
            out = vlm.model.generate(
                **prompt,
                pixel_values=bench.pixels[:, None],
                do_sample=True,
                top_k=0,
                max_new_tokens=bench.tokens,
                suppress_tokens=[vlm.base.config.image_token_id],
            )
            return out[:, prompt["input_ids"].shape[1] :]
        seen = vlm.model.model.get_image_features(bench.pixels[:, None], return_dict=True)
        ids, start = prompt["input_ids"], prompt["input_ids"].shape[1]
        for _ in range(bench.tokens):
            out = vlm.model(input_ids=ids, mm_encoder_outputs={"image": seen}, use_cache=False)
            logits = out.logits[:, -1]
            logits[:, vlm.base.config.image_token_id] = -torch.inf
            ids = torch.cat([ids, torch.multinomial(logits.softmax(dim=-1), 1)], dim=1)
            if bool((ids[:, start:] == vlm.tokens.eos_ids[0]).any(dim=1).all()):
                break
    return ids[:, start:]


def naive_loss(bench: Bench, ids: Tensor, mask: Tensor) -> Tensor:
    """Read captions again from pixels, with logits; F_I is what the tower said on the way."""
    prompt, seen = prompt_of(bench), []
    hook = bench.vlm.base.model.vision_model.register_forward_hook(
        lambda module, inputs, output: seen.append(output.last_hidden_state)
    )
    out = bench.vlm.model(
        input_ids=torch.cat([prompt["input_ids"], ids], dim=1),
        attention_mask=torch.cat([prompt["attention_mask"], mask.long()], dim=1),
        pixel_values=bench.pixels[:, None],
        output_hidden_states=True,
        use_cache=False,
    )
    hook.remove()
    states = out.hidden_states[-1][:, prompt["input_ids"].shape[1] - 1 :]
    features = seen[0].mean(dim=1).detach()
    return (1 - bench.fitted.cosines(states, mask, features)).mean()


def naive_step(bench: Bench, optimizer: torch.optim.AdamW, *, cache: bool) -> None:
    """Do one step as one writes it first."""
    ids = naive_generate(bench, cache=cache)
    loss = naive_loss(bench, ids, bench.vlm.tokens.until_eos(ids))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(lora_parameters(bench.vlm).values(), 1.0)
    optimizer.step()


def our_step(bench: Bench, source: VisionSource) -> None:
    """Do one step of `train_adapter`, its own set-up included."""
    config = TrainConfig(
        learning_rate=1e-6,
        images_per_step=len(bench),
        kl_every=0,
        decoding=Sample(max_tokens=bench.tokens),
    )
    train_adapter(bench.vlm, source, ImageContext(bench.fitted), config, generator=seeded(3))


def largest_differences(bench: Bench) -> dict[str, float]:
    """Compare both steps on the same tokens: the loss, and the gradient relative to its norm."""
    vision = bench.select(list(range(len(bench))))
    captions = bench.vlm.generate(
        vision, decoding=Sample(max_tokens=bench.tokens), generator=seeded(4)
    )
    parameters = list(lora_parameters(bench.vlm).values())
    ours, theirs = our_loss(bench, vision, captions), naive_loss(bench, captions.ids, captions.mask)
    a = torch.cat([g.flatten() for g in torch.autograd.grad(ours, parameters)])
    b = torch.cat([g.flatten() for g in torch.autograd.grad(theirs, parameters)])
    return {
        "loss_difference": abs(float(ours.detach()) - float(theirs.detach())),
        "gradient_difference": float((a - b).norm() / b.norm()),
    }


def our_loss(bench: Bench, vision: VisionBatch, captions: CaptionBatch) -> Tensor:
    """The paper's loss on given captions."""
    return ImageContext(bench.fitted)(Rollout(bench.vlm, vision, captions))


def race(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Run all in turn, `repeats` times, and keep the least CPU time of each."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
            note(f"{name}: {best[name]:.2f} CPU s")
    return best


def time_steps(bench: Bench, repeats: int) -> dict[str, float]:
    """Time the naive step in both kinds and ours, with vision in the step and before it."""
    optimizer = torch.optim.AdamW(lora_parameters(bench.vlm).values(), lr=1e-6, weight_decay=0.01)
    encoded = bench.select(list(range(len(bench))))
    note(f"{bench.vlm.name}: {len(bench)} images, at most {bench.tokens} tokens each")
    seconds = race(
        {
            "ours": lambda: our_step(bench, bench),
            "ours, encoded before": lambda: our_step(bench, encoded),
            "naive, key-value cache": lambda: naive_step(bench, optimizer, cache=True),
            "naive": lambda: naive_step(bench, optimizer, cache=False),
        },
        repeats,
    )
    return {
        "images": len(bench),
        "images_per_second": len(bench) / seconds["ours"],
        "step_speedup": seconds["naive"] / seconds["ours"],
        "step_speedup_kv": seconds["naive, key-value cache"] / seconds["ours"],
        "step_speedup_encoded": seconds["naive"] / seconds["ours, encoded before"],
    } | largest_differences(bench)


def time_mapper(pairs: int) -> dict[str, float]:
    """Train a mapper of SmolVLM-Base's shape on cached states of random numbers."""
    width, target = SMOLVLM_BASE
    states = torch.randn(pairs, width, generator=seeded(0))
    features = torch.randn(pairs, target, generator=seeded(1))
    start = time.process_time()
    fit_mapper(
        states,
        features,
        shape=MapperConfig(width, target),
        config=FitConfig(),
        generator=seeded(2),
    )
    seconds = time.process_time() - start
    note(f"a mapper on {pairs} pairs: {seconds:.1f} CPU s")
    return {"mapper_pairs": pairs, "mapper_seconds": seconds}


def claims(figures: dict[str, float]) -> list[dict[str, str]]:
    """Judge what the documentation says of speed by this run's figures."""
    bars = (
        ("a zero-label step at least twice as fast as the naive one", "step_speedup", 2, True),
        ("the same at SmolVLM-256M's size", "step_speedup_256m", 2, True),
        ("a mapper on 40,000 pairs within 10 seconds of one core", "mapper_seconds", 10, False),
        ("the same loss as the naive step", "loss_difference", 1e-5, False),
        ("the same gradient as the naive step", "gradient_difference", 1e-3, False),
    )
    return [
        {
            "claim": claim,
            "source": "this package",
            "verdict": "holds"
            if (figures[name] >= bar if at_least else figures[name] <= bar)
            else "does not hold",
            "evidence": f"{name} {figures[name]:.4g}, bar {bar:g}",
        }
        for claim, name, bar, at_least in bars
    ]


def main() -> None:
    """Run the comparisons and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="drawn model only, 4,000 pairs")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "vizer_benchmark.json")
    options = parser.parse_args()
    start = time.perf_counter()
    torch.set_num_threads(1)
    figures = time_mapper(4_000 if options.quick else PAIRS)
    figures |= time_steps(drawn_bench(images=32), repeats=3 if options.quick else 7)
    if not options.quick:
        large = time_steps(large_bench(images=2), repeats=2)
        figures |= {f"{name}_256m": value for name, value in large.items()}
        record = {
            "experiment": "vizer_benchmark",
            "command": "python benchmarks/vizer.py",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.perf_counter() - start, 1),
            "figures": figures,
            "scores": [],
            "differences": [],
            "claims": claims(figures),
        }
        write_json(options.out, record)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
