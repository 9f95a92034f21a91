"""Time sampling and filtering, and training on cached features, against one at a time.

    python benchmarks/maccap.py             # some minutes; writes results/maccap_benchmark.json
    python benchmarks/maccap.py --quick     # micro models only, few pictures; writes nothing

The reference for sampling is the loop of the published release: one picture, one noisy reading, one
call of `generate` at a time, and CLIP asked once a picture. It gets the very noise that the batched
call gets, so the captions must agree. The reference for training runs CLIP's text tower in every
step. All ratios are of times measured in this run, on one thread; the last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vizer_core.captioners import Magic, ZeroCap
from vizer_core.captioners.magic import MAGIC_MICRO
from vizer_core.captioners.zerocap import ZEROCAP_MICRO, ZEROCAP_MICRO_PROMPT
from vizer_core.clip import ImageTextEncoder
from vizer_core.micro import MicroSplit, load_micro_clip
from vizer_core.micro.lab import pixels_of
from vizer_core.micro.lm_lab import load_micro_lm
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.shapes import unit_norm
from vizer_core.store import write_json
from vizer_core.textonly import (
    MICRO_ADAPTOR,
    MICRO_MACCAP,
    AdaptorDecoder,
    GaussianNoise,
    PrefixWriter,
    TrainingPairs,
    draw_noise,
    filter_samples,
    fit_text_only,
)

ROOT = Path(__file__).resolve().parent.parent
SAMPLES, TOKENS, VARIANCE = 20, 10, 0.016
EPOCH = 100_000


def timed(label: str, run: Callable, repeats: int = 1):
    """Return the least wall time of several runs, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - began)
    print(f"{label}: {best:.2f} s", file=sys.stderr)
    return best, result


def readings(features: Tensor, *, seed: int) -> Tensor:
    """Return S noisy readings of every picture, [n, k, r, d], normalised."""
    mixed = features[:, None].expand(-1, TOKENS, -1)
    noise = draw_noise(
        tuple(mixed.shape), SAMPLES, noise=GaussianNoise(VARIANCE), generator=seeded(seed)
    )
    return unit_norm(mixed[:, None] + noise)


def one_at_a_time(
    writer: PrefixWriter, encoder: ImageTextEncoder, inputs: Tensor, features: Tensor
) -> list[str]:
    """Write and choose as the release does: a `generate` a sample, an `encode_text` a picture."""
    chosen = []
    for image, samples in zip(features, inputs):
        texts = [writer.write(sample[None])[0] for sample in samples]
        cosines = encoder.encode_text(texts) @ image
        chosen.append(texts[int(cosines.argmax())])
    return chosen


def compare_sampling(
    writer: PrefixWriter, encoder: ImageTextEncoder, features: Tensor, label: str, repeats: int
) -> dict[str, float]:
    """Time both ways on the same noise and count equal captions."""
    inputs = readings(features, seed=0)
    ours, found = timed(
        f"{label}, batched", lambda: filter_samples(writer, encoder, inputs, features), repeats
    )
    theirs, wanted = timed(
        f"{label}, one at a time", lambda: one_at_a_time(writer, encoder, inputs, features), 1
    )
    same = sum(a == b for a, b in zip(found.best, wanted)) / len(wanted)
    return {
        "sampling_speedup": round(theirs / ours, 2),
        "captions_per_second": round(len(features) / ours, 2),
        "same_captions_share": same,
    }


def micro_writer(encoder: ImageTextEncoder, epochs: int) -> PrefixWriter:
    """Train a small adaptor for some seconds: an untrained one writes no real captions."""
    split = MicroSplit("train", 400)
    captions = [text for texts in split.captions for text in texts]
    pairs = TrainingPairs(encoder.encode_text(captions), captions)
    torch.manual_seed(0)
    adaptor, lm = AdaptorDecoder(MICRO_ADAPTOR), load_micro_lm()
    config = replace(MICRO_MACCAP, noise=GaussianNoise(VARIANCE), epochs=epochs)
    fit_text_only(adaptor, lm, pairs, config, generator=seeded(0))
    return PrefixWriter(adaptor, lm)


def true_size_writer() -> tuple[PrefixWriter, ImageTextEncoder]:
    """Build ViT-B/32 and OPT-125M at full size with random weights: times, not captions."""
    from transformers import OPTConfig, OPTForCausalLM

    from vizer_core.clip import OpenClipEncoder, loading
    from vizer_core.language import CausalLM
    from vizer_core.micro.lm_model import micro_lm_tokenizer
    from vizer_core.textonly import AdaptorConfig

    torch.manual_seed(0)
    model = OPTForCausalLM(OPTConfig()).eval()  # the defaults are OPT-125M
    lm = CausalLM.from_model(model, micro_lm_tokenizer(), "OPT-125M, random weights")
    name = "ViT-B-32"
    clip = loading.build_model(loading.model_config(name)).eval()
    encoder = OpenClipEncoder.from_model(
        clip,
        preprocess=loading.preprocess_for(clip, {}),
        tokenizer=loading.bundled_tokenizer(name, clip),
        name=f"{name}, random weights",
    )
    adaptor = AdaptorDecoder(AdaptorConfig(clip_width=512, lm_width=768)).eval()
    return PrefixWriter(adaptor, lm), encoder


def compare_training(encoder: ImageTextEncoder, captions: int, live: int) -> dict[str, float]:
    """Time an epoch over cached features, and steps that run CLIP's text tower each time."""
    split = MicroSplit("train", 2000)
    distinct = [text for texts in split.captions for text in texts]
    texts = [distinct[i % len(distinct)] for i in range(captions)]
    features = encoder.encode_text(distinct)
    pairs = TrainingPairs(features[torch.arange(captions) % len(distinct)], texts)
    adaptor, lm = AdaptorDecoder(MICRO_ADAPTOR), load_micro_lm()
    config = replace(MICRO_MACCAP, noise=GaussianNoise(VARIANCE), epochs=1)
    seconds, history = timed(
        f"epoch over {captions} captions",
        lambda: fit_text_only(adaptor, lm, pairs, config, generator=seeded(0)),
    )
    clip_seconds, _ = timed(
        f"CLIP's text tower on {live} captions, a batch at a time",
        lambda: [encoder.encode_text(texts[i : i + config.batch_size])
                 for i in range(0, live, config.batch_size)],
    )  # fmt: skip
    cached = captions / seconds
    return {
        "epoch_captions": captions,
        "training_captions_per_second": round(cached),
        "training_speedup_over_live_clip": round((1 / cached + clip_seconds / live) * cached, 3),
        "training_loss": round(history.mean_loss(), 3),
    }


def compare_searches(encoder: ImageTextEncoder, features: Tensor) -> dict[str, float]:
    """Time MAGIC and ZeroCap, all pictures at once against one by one."""
    lm, figures = load_micro_lm(), {}
    for captioner in (
        Magic(lm, encoder, MAGIC_MICRO),
        ZeroCap(lm, encoder, ZEROCAP_MICRO, prompt=ZEROCAP_MICRO_PROMPT),
    ):

        def write(rows: Tensor, captioner=captioner) -> list[str]:
            return captioner.caption(rows, generator=seeded(0))

        ours, found = timed(f"{captioner.name}, batched", lambda: write(features))
        theirs, wanted = timed(
            f"{captioner.name}, one by one",
            lambda: [text for row in features for text in write(row[None])],
        )
        figures[f"{captioner.name}_speedup"] = round(theirs / ours, 2)
        same = sum(a == b for a, b in zip(found, wanted)) / len(wanted)
        figures[f"{captioner.name}_same_captions_share"] = same
    return figures


def main() -> None:
    """Measure, print JSON last, and store it unless --quick."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "maccap_benchmark.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, count = time.monotonic(), 6 if options.quick else options.images
    encoder = load_micro_clip("micro-clip-100")
    features = encoder.encode_image(pixels_of(MicroSplit("validation", count).images))
    writer = micro_writer(encoder, epochs=1 if options.quick else 8)
    figures = compare_sampling(writer, encoder, features, "micro models", 2)
    figures |= compare_searches(encoder, features[: 6 if options.quick else 16])
    captions = 3000 if options.quick else EPOCH
    figures |= compare_training(encoder, captions, min(captions, 5000))
    if not options.quick:
        large, large_encoder = true_size_writer()
        image = unit_norm(torch.randn(1, 512, generator=seeded(1)))
        found = compare_sampling(large, large_encoder, image, "ViT-B/32 and OPT-125M", 1)
        figures |= {f"true_size_{key}": value for key, value in found.items()}
        write_json(options.out, {
            "experiment": "maccap_benchmark",
            "command": "python benchmarks/maccap.py",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.monotonic() - began, 1),
            "figures": figures,
        })  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
