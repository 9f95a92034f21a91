"""Make `results/reconstruction_real.json`: text-only training on real captions with real models.

    make real
    nice python -m experiments.reconstruction_real          # half an hour of one core (estimated)

MacCap's training half, with nothing drawn: captions of COCO (2014, one of each training image), a
real sentence encoder in CLIP's place (MiniLM), a real frozen language model (SmolLM2-135M), and the
prefix network of the drawn models between them. It learns to write each caption from its own noised
feature; then captions of validation images are written anew from their features, with the noise of
training. There are no images: what is missing is CLIP, and with it the gap.

==============  ==================================================================
0.008:text      noise of variance .008 a coordinate, the caption's own feature
0.008:another   control: written from another caption's feature, scored as before
==============  ==================================================================

`sentence_cosine` compares what is written with the caption that it was written from, by the same
MiniLM; BLEU-1 and CIDEr with all captions of the image. Each training is one cell, and saves itself
every 20 steps; a stopped run goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.grid import Cell, run_grid, seconds_spent
from experiments.scoring import difference_rows, score_rows
from vizer_core.data.coco import coco2014
from vizer_core.decoding import Greedy
from vizer_core.evaluation import evaluate, make_references
from vizer_core.files import write_json
from vizer_core.language import CausalLM, SentenceEncoder
from vizer_core.metrics.stats import Statistics, mean_statistics
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.textonly import (
    SMALL_MACCAP,
    SMALL_NETWORK,
    Checkpoint,
    GaussianNoise,
    NoNoise,
    PrefixDecoder,
    PrefixGenerator,
    TrainingPairs,
    fit_text_only,
    region_noise,
)
from vizer_core.textonly.schedule import WarmupCosine

OUT, RUNS = Path("results/reconstruction_real.json"), Path(".cache/reconstruction_real")
ENCODER, LANGUAGE_MODEL = "all-minilm-l6-v2", "smollm2-135m"
VARIANCES = (0.0, 0.008, 0.032)
READINGS = ("text", "another")
METRICS = ("sentence_cosine", "bleu1", "cider")


def training_captions(count: int) -> list[str]:
    """Return the first caption of the first training images."""
    return [record.captions[0].strip() for record in coco2014("train")[:count]]


def test_records(count: int) -> list[tuple[str, ...]]:
    """Return the captions of the first validation images."""
    return [record.captions for record in coco2014("val")[:count]]


def train_and_read(
    variance: float, captions: int, shown: int, seed: int, runs: str
) -> dict[str, Any]:
    """Train one prefix network and write the test captions anew from each reading."""
    encoder, lm = SentenceEncoder.from_pretrained(ENCODER), CausalLM.from_pretrained(LANGUAGE_MODEL)
    noise = GaussianNoise(variance) if variance else NoNoise()
    steps = -(-captions // SMALL_MACCAP.batch_size)
    config = replace(SMALL_MACCAP, noise=noise, epochs=1, schedule=WarmupCosine(max(1, steps // 8)))
    torch.manual_seed(seed)
    shape = replace(SMALL_NETWORK, clip_width=encoder.embed_dim, lm_width=lm.width)
    prefix_network, texts = PrefixDecoder(shape), training_captions(captions)
    pairs = TrainingPairs(encoder.encode_text(texts), texts)
    state = Path(runs) / "states" / f"{variance:g}-{captions}-{seed}.safetensors"
    kept = Checkpoint(state, every=20)
    history = fit_text_only(
        prefix_network, lm, pairs, config, generator=seeded(seed), checkpoint=kept
    )
    source = encoder.encode_text([texts[0] for texts in test_records(shown)])
    prefix_generator = PrefixGenerator(prefix_network, lm, Greedy(20), rows=50)
    found: dict[str, Any] = {"loss": history.mean_loss()}
    for reading, features in (("text", source), ("another", source.roll(1, dims=0))):
        tokens = region_noise(features, config.tokens, noise=noise, generator=seeded(seed))
        found[reading] = list(prefix_generator.generate(tokens))
    return found


def scored(
    generated: list[str], records: list[tuple[str, ...]], encoder: SentenceEncoder
) -> dict[str, Statistics]:
    """Return each metric's per-image statistics of what was written."""
    references = make_references([list(captions) for captions in records])
    found = evaluate(generated, references, metrics=["bleu", "cider"], resamples=1).statistics
    source = encoder.encode_text([captions[0] for captions in records])
    cosines = (encoder.encode_text(generated) * source).sum(dim=1)
    found["sentence_cosine"] = mean_statistics(cosines.tolist())
    return {name: found[name] for name in METRICS}


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Train, read, score: the file's content."""
    cells = {
        (variance, seed): Cell(
            f"{variance:g}-{options.captions}-{options.n}-{seed}",
            train_and_read,
            {
                "variance": variance,
                "captions": options.captions,
                "shown": options.n,
                "seed": seed,
                "runs": str(options.runs),
            },
            seconds=2.0 * options.captions / 32,
        )
        for variance in options.variances
        for seed in range(options.seeds)
    }
    answers = run_grid(list(cells.values()), options.runs, workers=1, progress=True)
    encoder, records = SentenceEncoder.from_pretrained(ENCODER), test_records(options.n)
    table: dict[str, list[dict[str, Statistics]]] = {}
    for (variance, _), cell in cells.items():
        for reading in READINGS:
            row = scored(answers[cell.name][reading], records, encoder)
            table.setdefault(f"{variance:g}:{reading}", []).append(row)
    pairs = [(f"{v:g}:text", f"{v:g}:another") for v in options.variances]
    pairs += [(f"{v:g}:text", f"{options.variances[0]:g}:text") for v in options.variances[1:]]
    first = {v: answers[cells[v, 0].name] for v in options.variances}
    return {
        "experiment": "reconstruction_real",
        "command": f"python -m experiments.reconstruction_real --captions {options.captions} "
        f"--n {options.n} --seeds {options.seeds}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),
        "interval": "95% bootstrap over images and seeds; differences are paired",
        "models": {"encoder": ENCODER, "language_model": LANGUAGE_MODEL},
        "captions": options.captions,
        "losses": {f"{v:g}": round(answer["loss"], 3) for v, answer in first.items()},
        "scores": score_rows(table),
        "differences": difference_rows(table, pairs),
        "examples": [
            {"caption": captions[0].strip()}
            | {f"{v:g}": answer["text"][i] for v, answer in first.items()}
            for i, captions in enumerate(records[:8])
        ],
        "claims": [],
    }


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--captions", type=int, default=6400, help="captions to train on, once")
    parser.add_argument("--n", type=int, default=200, help="captions to write anew")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--variances", type=float, nargs="+", default=VARIANCES)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
