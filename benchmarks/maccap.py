"""Time sampling and filtering, and training on cached features, against one at a time.

    python benchmarks/maccap.py             # some minutes; writes results/maccap_benchmark.json
    python benchmarks/maccap.py --quick     # drawn models only, few images; writes nothing

The reference for sampling is the loop of the published release: one image, one noisy reading,
one call of transformers' own `generate` at a time, and CLIP asked once an image. It gets the very
noise that the batched call gets, so all S texts must agree. At true size three numbers stand beside
the ratio. `arithmetic_ratio` is counted: the loop's multiplications over the batch's, which reads a
prefix once a sample and not once a beam; all other gain is fewer and larger calls. The
`matmul_ceiling`s are timed: the loop's matrix products over the batch's, what batching gives if
nothing but these products takes time in either; once with the kernels that the batch runs on, once
with torch's own for both. `share_of_ceiling` is what is reached of the first. The reference for
training runs CLIP's text tower in every step.

All ratios are of times measured in this run: time of the processor on one thread, so that whatever
else the machine does counts little. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vizer_core.captioners import Magic, ZeroCap
from vizer_core.captioners.magic import MAGIC_SMALL
from vizer_core.captioners.zerocap import ZEROCAP_SMALL, ZEROCAP_SMALL_PROMPT
from vizer_core.clip import ImageTextEncoder
from vizer_core.files import write_json
from vizer_core.language import CausalLM
from vizer_core.language.fast_linear import fast_linears
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly import (
    GaussianNoise,
    PrefixDecoder,
    PrefixGenerator,
    TrainingPairs,
    draw_noise,
    filter_samples,
    fit_text_only,
)
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.captioners import load_drawn_prefix_network
from vizer_lab.zoo.clips import pixels_of
from vizer_lab.zoo.drawn_captioners import DRAWN_MACCAP, DRAWN_NETWORK
from vizer_lab.zoo.language_models import load_drawn_lm

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent
SAMPLES, TOKENS, VARIANCE = 20, 10, 0.016
EPOCH = 100_000
WEIGHT_SCALE = 6.0  # of the random matrices at true size


def timed(label: str, run: Callable, repeats: int = 1):
    """Return the least processor time of several runs, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        result = run()
        best = min(best, time.process_time() - began)
    print(f"{label}: {best:.2f} s", file=sys.stderr)
    return best, result


def readings(features: Tensor, *, seed: int) -> Tensor:
    """Return S noisy readings of every image, [n, k, r, d], normalised."""
    mixed = features[:, None].expand(-1, TOKENS, -1)
    noise = draw_noise(
        tuple(mixed.shape), SAMPLES, noise=GaussianNoise(VARIANCE), generator=seeded(seed)
    )
    return unit_norm(mixed[:, None] + noise)


def one_at_a_time(
    prefix_generator: PrefixGenerator, encoder: ImageTextEncoder, inputs: Tensor, features: Tensor
) -> tuple[list[list[str]], list[str]]:
    """Write and choose as the release does: a `generate` a sample, an `encode_text` an image."""
    generated, chosen = [], []
    for image, samples in zip(features, inputs):
        texts = [plain_text(prefix_generator, sample) for sample in samples]
        cosines = encoder.encode_text(texts) @ image
        generated.append(texts)
        chosen.append(texts[int(cosines.argmax())])
    return generated, chosen


@torch.no_grad()
def plain_text(prefix_generator: PrefixGenerator, sample: Tensor) -> str:
    """Write one text by transformers' `generate` alone."""
    lm = prefix_generator.language_model
    opening = lm.opening(prefix_generator.prefix_network(sample[None]))
    inputs = lm.inputs(opening.embeddings, opening.mask)
    return lm.decode(lm.model.generate(**inputs, **prefix_generator.decoding.generate_options()))[0]


def compare_sampling(
    prefix_generator: PrefixGenerator,
    encoder: ImageTextEncoder,
    features: Tensor,
    label: str,
    repeats: int,
) -> dict[str, float]:
    """Time both ways on the same noise and count equal captions."""
    inputs = readings(features, seed=0)
    ours, found = timed(
        f"{label}, batched",
        lambda: filter_samples(prefix_generator, encoder, inputs, features),
        repeats,
    )
    theirs, wanted = timed(
        f"{label}, one at a time",
        lambda: one_at_a_time(prefix_generator, encoder, inputs, features),
        1,
    )
    every = [text for texts in found.texts for text in texts]
    wanted_every = [text for texts in wanted[0] for text in texts]
    return {
        "sampling_speedup": round(theirs / ours, 2),
        "captions_per_second": round(len(features) / ours, 2),
        "same_captions_share": share(found.best, wanted[1]),
        "same_samples_share": share(every, wanted_every),
        "distinct_samples_share": round(len(set(every)) / len(every), 3),
    }


def share(found: Sequence[str], wanted: Sequence[str]) -> float:
    """Return how many texts are equal, place by place, of all."""
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


def products(lm: CausalLM, body_rows: int, head_rows: int) -> float:
    """Return the seconds of one pass through the linear layers alone, with these rows."""
    head = lm.model.get_output_embeddings()
    layers = [x for x in lm.model.modules() if isinstance(x, torch.nn.Linear) and x is not head]
    work = [(x, torch.randn(body_rows, x.in_features)) for x in layers]
    if head_rows:
        work.append((head, torch.randn(head_rows, head.in_features)))

    @torch.no_grad()
    def run() -> None:
        for layer, rows in work:
            layer(rows)

    run()  # the first pass pays for memory
    return timed(f"linear layers, {body_rows} and {head_rows} rows", run, 3)[0]


def arithmetic_ratio(body: int, head: int, *, prefix: int, width: int, tokens: int) -> float:
    """Return the multiplications of the loop's linear layers over those of the batch's.

    `body` and `head` are the weights that one position runs through; the head is only asked about
    positions that a token is chosen after.

    >>> arithmetic_ratio(1, 0, prefix=32, width=4, tokens=16)
    2.0
    >>> arithmetic_ratio(1, 0, prefix=0, width=4, tokens=16)
    1.0
    """
    said = tokens * width * head
    loop = width * (prefix + tokens) * body + said
    batch = (prefix + tokens * width) * body + said
    return loop / batch


def linear_weights(lm: CausalLM) -> tuple[int, int]:
    """Return the weights of a language model's linear layers: without its output layer, and its."""
    head = lm.model.get_output_embeddings()
    layers = [x for x in lm.model.modules() if isinstance(x, torch.nn.Linear) and x is not head]
    return sum(x.weight.numel() for x in layers), head.weight.numel()


def matmul_ceilings(prefix_generator: PrefixGenerator) -> dict[str, float]:
    """Return the loop's matrix products over the batch's, for one image and all its samples.

    The loop reads the prefix and BOS once a beam; the batch reads the prefix once a sample.
    """
    lm, width, tokens = (
        prefix_generator.language_model,
        prefix_generator.decoding.width,
        prefix_generator.decoding.max_tokens,
    )
    prefix = prefix_generator.prefix_network.config.queries
    loop = SAMPLES * (
        products(lm, width * (prefix + 1), width) + (tokens - 1) * products(lm, width, width)
    )
    found = {}
    for name, context in (("", fast_linears(lm.model)), ("_same_kernels", nullcontext())):
        with context:
            opening = products(lm, SAMPLES * prefix, 0)
            batch = opening + tokens * products(lm, SAMPLES * width, SAMPLES * width)
        found[f"matmul_ceiling{name}"] = round(loop / batch, 2)
    body, head = linear_weights(lm)
    counted = arithmetic_ratio(body, head, prefix=prefix, width=width, tokens=tokens)
    return found | {"arithmetic_ratio": round(counted, 2)}


def numbered_words() -> PreTrainedTokenizerFast:
    """Return a tokenizer with a word for each of OPT's ids, so that other ids are other texts."""
    from tokenizers import Tokenizer, models
    from transformers import OPTConfig, PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(OPTConfig().vocab_size)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w3")),
        bos_token="w0",
        pad_token="w1",
        eos_token="w2",
        unk_token="w3",
    )


def true_size_prefix_generator() -> tuple[PrefixGenerator, ImageTextEncoder]:
    """Build ViT-B/32 and OPT-125M at full size with random weights: times, not captions.

    The matrices are made larger than fresh ones, so that what is written hangs on the prefix; with
    fresh ones every reading gives one word over and over, and equal texts would show nothing.
    """
    from transformers import OPTConfig, OPTForCausalLM

    from vizer_core.clip import OpenClipEncoder, loading
    from vizer_core.textonly import PrefixConfig

    torch.manual_seed(0)
    model = OPTForCausalLM(OPTConfig()).eval()  # the defaults are OPT-125M
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(WEIGHT_SCALE)
    lm = CausalLM.from_model(model, numbered_words(), "OPT-125M, random weights")
    name = "ViT-B-32"
    clip = loading.build_model(loading.model_config(name)).eval()
    encoder = OpenClipEncoder.from_model(
        clip,
        preprocess=loading.preprocess_for(clip, {}),
        tokenizer=loading.bundled_tokenizer(name, clip),
        name=f"{name}, random weights",
    )
    prefix_network = PrefixDecoder(PrefixConfig(clip_width=512, lm_width=768)).eval()
    return PrefixGenerator(prefix_network, lm), encoder


def compare_true_size() -> dict[str, float]:
    """Time both ways for one image at true size, beside what the matrix products allow."""
    prefix_generator, encoder = true_size_prefix_generator()
    image = unit_norm(torch.randn(1, 512, generator=seeded(1)))
    figures = compare_sampling(prefix_generator, encoder, image, "ViT-B/32 and OPT-125M", 2)
    figures |= matmul_ceilings(prefix_generator)
    reached = figures["sampling_speedup"] / figures["matmul_ceiling"]
    figures["share_of_ceiling"] = round(reached, 2)
    return {f"true_size_{key}": value for key, value in figures.items()}


def compare_training(encoder: ImageTextEncoder, captions: int, live: int) -> dict[str, float]:
    """Time an epoch over cached features, and steps that run CLIP's text tower each time."""
    split = DrawnSplit("second_train", 2000)
    distinct = [text for texts in split.captions for text in texts]
    texts = [distinct[i % len(distinct)] for i in range(captions)]
    features = encoder.encode_text(distinct)
    pairs = TrainingPairs(features[torch.arange(captions) % len(distinct)], texts)
    prefix_network, lm = PrefixDecoder(DRAWN_NETWORK), load_drawn_lm(name="drawn-lm")
    config = replace(DRAWN_MACCAP, epochs=1)
    seconds, history = timed(
        f"epoch over {captions} captions",
        lambda: fit_text_only(prefix_network, lm, pairs, config, generator=seeded(0)),
    )
    clip_seconds, _ = timed(
        f"CLIP's text tower on {live} captions, a batch at a time",
        lambda: [
            encoder.encode_text(texts[i : i + config.batch_size])
            for i in range(0, live, config.batch_size)
        ],
    )
    cached = captions / seconds
    return {
        "epoch_captions": captions,
        "training_captions_per_second": round(cached),
        "training_speedup_over_live_clip": round((1 / cached + clip_seconds / live) * cached, 3),
        "training_loss": round(history.mean_loss(), 3),
    }


def compare_searches(encoder: ImageTextEncoder, features: Tensor) -> dict[str, float]:
    """Time MAGIC and ZeroCap, all images at once against one by one."""
    lm, figures = load_drawn_lm(name="drawn-lm"), {}
    for captioner in (
        Magic(lm, encoder, MAGIC_SMALL),
        ZeroCap(lm, encoder, ZEROCAP_SMALL, prompt=ZEROCAP_SMALL_PROMPT),
    ):

        def caption(rows: Tensor, captioner=captioner) -> list[str]:
            return captioner.caption(rows, generator=seeded(0))

        ours, found = timed(f"{captioner.name}, batched", lambda: caption(features))
        theirs, wanted = timed(
            f"{captioner.name}, one by one",
            lambda: [text for row in features for text in caption(row[None])],
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
    figures = {} if options.quick else compare_true_size()
    encoder = load_drawn_clip("drawn-clip-50")
    features = encoder.encode_image(pixels_of(DrawnSplit("second_validation", count).images))
    prefix_generator = load_drawn_prefix_network("drawn-maccap", encoder=encoder).prefix_generator
    figures |= compare_sampling(prefix_generator, encoder, features, "drawn models", 2)
    figures |= compare_searches(encoder, features[: 6 if options.quick else 16])
    captions = 3000 if options.quick else EPOCH
    figures |= compare_training(encoder, captions, min(captions, 5000))
    if not options.quick:
        write_json(
            options.out,
            {
                "experiment": "maccap_benchmark",
                "command": "python benchmarks/maccap.py",
                "commit": git_commit(),
                "hardware": hardware(),
                "seconds": round(time.monotonic() - began, 1),
                "figures": figures,
            },
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
