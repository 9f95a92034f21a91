"""Make `results/gap_real_clip.json`: the gap of a real CLIP beside the shipped ones, one code.

    python -m experiments.gap_real_clip --features features_clip.npy      # half a minute of a core

The file holds CLIP ViT-B/16's features of 500 COCO images and a caption of each, [2, 500, 512] in
float32, unit norm. It is `features_clip.npy` of the public repository Weixin-Liang/Modality-Gap
(MIT licence, 2022, folder Figure_1_Modality_Gap), the code of Liang et al. 2022. Any file of that
form will do. The shipped CLIPs read the first 500 test scenes of the drawn world,
one caption each.

Kinds of numbers, by system (`real` and the shipped models' names):

- the gap report, as `vizer gap` prints it, with 95% bootstrap intervals over pairs;
- the pool's distance from a normal curve: as it is; without its two largest dimensions; and with
  each dimension scaled to mean 0 and deviation 1 (`ks_*`, `kurtosis_*`);
- captions that stand for images: with noise of a pair's angle, or with the mean gap taken off. The
  gap is that of the first half of the pairs, the numbers are those of the second half, and a cut
  that tells them from images is fitted on other pairs than it is scored on;
- loss and retrieval where training left the clouds, and where the gap is closed;
- counts of histograms, for the figures of chapters 2 and 3.

Numbers without a bootstrap of their own have low = high = mean.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.files import sha256_file, write_json
from vizer_core.gap import bootstrap_gap, gap_vector, measure_gap, sweep_shift
from vizer_core.gap.feature_file import read_pairs
from vizer_core.gap.interval import bootstrap_mean
from vizer_core.gap.moments import moments
from vizer_core.gap.noise_scale import matched_noise_std
from vizer_core.gap.normality import ks_to_fitted_normal
from vizer_core.gap.purity import same_group_share
from vizer_core.gap.separability import measure_separability
from vizer_core.gap.stats import mean_off_diagonal_cosine
from vizer_core.metrics.stats import Interval
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.shapes import unit_norm
from vizer_core.shipped import shipped, shipped_names
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo.clips import pixels_of

OUT = Path("results/gap_real_clip.json")
SOURCE = "https://github.com/Weixin-Liang/Modality-Gap (MIT), Figure_1_Modality_Gap"
DIGITS = 5
TOP = 2  # dimensions that hold most of a real CLIP's constant vector
NEIGHBOURS = 10
BIN = 2.0**-8  # of the pooled gap; a power of two, so that counts are exact
CLOSED = [step / 20 for step in range(-8, 29)]  # the shifts tried, as in chapter 2
FROM_REPORT = (
    "gap_norm_null",
    "pair_cosine_max",
    "pair_cosine_min",
    "ks_raw",
    "ks_centred",
    "separability_held_out",
    "separability_lda",
)
Numbers = dict[str, Interval]


def exact(value: float, n: int | None = None) -> Interval:
    """Return a number that was not resampled; n are its pairs, if they are not all."""
    return Interval(value, value, value, n)


def measure(image: Tensor, text: Tensor, logit_scale: float) -> Numbers:
    """Return every number of one model's pairs."""
    numbers: Numbers = dict(bootstrap_gap(image, text, generator=seeded(0), centred=True))
    report = measure_gap(image, text)
    for name in FROM_REPORT:
        numbers[name] = exact(getattr(report, name))
    cosine, dim = numbers["pair_cosine_mean"], image.shape[1]
    low, mean, high = (
        matched_noise_std(c, dim) ** 2 for c in (cosine.high, cosine.estimate, cosine.low)
    )
    numbers["matched_noise_variance"] = Interval(mean, low, high)
    numbers["mismatched_cosine_mean"] = exact(mismatched_cosine(image, text))
    numbers |= normality_numbers(image, text)
    numbers |= cone_numbers(image, text)
    numbers |= stand_in_numbers(image, text, matched_noise_std(cosine.estimate, dim))
    numbers |= shift_numbers(image, text, logit_scale)
    space = torch.cat([image, text])
    labels = ["image"] * len(image) + ["text"] * len(text)
    own = same_group_share(space, labels, k=NEIGHBOURS)
    numbers |= {f"own_kind_near_{name}": exact(share) for name, share in own.items()}
    return numbers


def mismatched_cosine(image: Tensor, text: Tensor) -> float:
    """Return the mean cosine of images and captions that do not belong together.

    >>> round(mismatched_cosine(torch.eye(2), torch.eye(2)), 4)
    0.0
    """
    cosines = image.double() @ text.double().T
    n = len(cosines)
    return float(cosines.sum() - cosines.trace()) / (n * (n - 1))


def without_top(features: Tensor, image: Tensor, text: Tensor) -> Tensor:
    """Drop the dimensions in which the gap vector is largest."""
    order = gap_vector(image, text).abs().argsort(descending=True)
    return features[:, order[TOP:].sort().values]


def standardised(gaps: Tensor) -> Tensor:
    """Scale each dimension of the gaps to mean 0 and deviation 1."""
    return (gaps - gaps.mean(dim=0)) / gaps.std(dim=0, correction=0)


def pools(image: Tensor, text: Tensor) -> dict[str, Tensor]:
    """Return the gap's entries in three forms: as they are, without the top two, standardised."""
    gaps = text.float() - image.float()
    rest = without_top(gaps, image, text)
    return {"raw": gaps, "without_top2": rest, "standardised": standardised(gaps)}


def normality_numbers(image: Tensor, text: Tensor) -> Numbers:
    """Return the pool's KS distance and excess kurtosis in each form."""
    numbers: Numbers = {}
    for name, entries in pools(image, text).items():
        numbers[f"ks_{name}"] = exact(ks_to_fitted_normal(entries))
        numbers[f"kurtosis_{name}"] = exact(moments(entries).excess_kurtosis)
    return numbers


def cone_numbers(image: Tensor, text: Tensor) -> Numbers:
    """Return the mean cosine of different images, and texts, without the top two dimensions."""
    numbers: Numbers = {}
    for side, features in (("image", image), ("text", text)):
        left = unit_norm(without_top(features, image, text))
        numbers[f"cone_{side}_without_top2"] = exact(mean_off_diagonal_cosine(left))
    return numbers


def stand_ins(image: Tensor, text: Tensor, std: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images and what may stand for them, of the second half of the pairs.

    Captions as they are; with noise; and without the mean gap, which is that of the first half.
    """
    half = len(image) // 2
    gap = gap_vector(image[:half], text[:half]).float()
    image, text = image[half:], text[half:]
    noise = std * torch.randn(text.shape, generator=seeded(4))
    return image, {"text": text, "noised": unit_norm(text + noise), "moved": unit_norm(text - gap)}


def stand_in_numbers(image: Tensor, text: Tensor, std: float) -> Numbers:
    """Return how near each stand-in is to its own image and caption, and whether a cut tells it."""
    numbers: Numbers = {}
    shown, found = stand_ins(image, text, std)
    for name, features in found.items():
        for other, side in (("image", shown), ("caption", found["text"])):
            cosines = (features * side).sum(dim=1)
            numbers[f"{name}_to_{other}"] = bootstrap_mean(cosines, generator=seeded(1))
        cut = measure_separability(shown, features)
        numbers[f"{name}_told_by_midpoint"] = exact(cut.midpoint_held_out, len(shown))
        numbers[f"{name}_told_by_lda"] = exact(cut.lda_held_out, len(shown))
        near = torch.linalg.vector_norm(gap_vector(shown, features))
        numbers[f"{name}_mean_distance"] = exact(float(near), len(shown))
    return numbers


def shift_numbers(image: Tensor, text: Tensor, logit_scale: float) -> Numbers:
    """Return loss and retrieval as trained, where the loss is least, and with the gap closed."""
    points = sweep_shift(image, text, CLOSED, logit_scale=logit_scale)
    still = next(point for point in points if point.delta == 0)
    closed = min(points, key=lambda point: abs(point.distance))
    cheapest = min(points, key=lambda point: point.loss.symmetric)
    found = {
        "loss_as_trained": still.loss.symmetric,
        "loss_closed": closed.loss.symmetric,
        "loss_least": cheapest.loss.symmetric,
        "least_at_distance": cheapest.distance,
        "distance_as_trained": still.distance,
        "i2t_r1": still.recall.image_to_text,
        "t2i_r1": still.recall.text_to_image,
        "i2t_r1_closed": closed.recall.image_to_text,
        "t2i_r1_closed": closed.recall.text_to_image,
        "cosine_closed": closed.pair_cosine_mean,
    }
    return {name: exact(value) for name, value in found.items()}


def count(values: Tensor, width: float) -> dict[str, Any]:
    """Count values in bins of a width, from the first bin that is not empty to the last.

    >>> count(torch.tensor([0.1, 0.2, 0.9, -0.3]), 0.5)
    {'start': -0.5, 'width': 0.5, 'counts': [1, 2, 1]}
    """
    bins = (values.double().flatten() / width).floor().long()
    first = int(bins.min())
    return {
        "start": first * width,
        "width": width,
        "counts": torch.bincount(bins - first).tolist(),
    }


def histograms(image: Tensor, text: Tensor) -> dict[str, dict[str, Any]]:
    """Return counts of the gap's entries, of cosines, and of the places along the gap."""
    found = {}
    for name, entries in pools(image, text).items():
        found[f"gap_{name}"] = count(entries, 2.0**-4 if name == "standardised" else BIN)
    kinds = {
        "own_caption": (image, text),
        "another_caption": (image, text.roll(1, 0)),
        "two_images": (image, image.roll(1, 0)),
        "two_captions": (text, text.roll(1, 0)),
    }
    for name, (one, other) in kinds.items():
        found[f"cosine_{name}"] = count((one * other).sum(dim=1), 2.0**-5)
    return found


def systems(features: Path, n: int) -> dict[str, tuple[Tensor, Tensor, float]]:
    """Return the pairs of every model, with its logit scale: 100 for the real one."""
    pairs = read_pairs(features)
    found = {"real": (pairs.image_features.float(), pairs.text_features.float(), 100.0)}
    split = DrawnSplit("second_test", n)
    texts, pixels = [captions[0] for captions in split.captions], pixels_of(split.images)
    for name in shipped_names("clip"):
        encoder = shipped("clip", name)("cpu")
        sides = encoder.encode_image(pixels), encoder.encode_text(texts)
        found[name] = (*sides, encoder.logit_scale)
    return found


def main() -> None:
    """Measure every model and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--features", type=Path, required=True, help="features_clip.npy, or alike")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    began, scores, counts, dimensions = time.monotonic(), [], {}, {}
    n = len(read_pairs(options.features).image_features)
    for system, (image, text, scale) in systems(options.features, n).items():
        for metric, value in measure(image, text, scale).items():
            row = {key: round(getattr(value, key), DIGITS) for key in ("mean", "low", "high")}
            pairs = value.n or len(image)
            scores.append({"system": system, "metric": metric, **row, "n": pairs, "seeds": 1})
        counts[system] = histograms(image, text)
        report = measure_gap(image, text)
        dimensions[system] = {
            "width": image.shape[1],
            "largest": list(report.top_dimensions),
            "means": [round(mean, DIGITS) for mean in report.top_dimension_means],
        }
    record = {
        "experiment": "gap_real_clip",
        "command": f"python -m experiments.gap_real_clip --features {options.features.name}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": round(time.monotonic() - began, 1),
        "interval": "95% bootstrap over pairs, centred (vizer gap); low = high = mean: none",
        "source": {
            "file": options.features.name,
            "from": SOURCE,
            "sha256": sha256_file(options.features),
        },
        "scores": scores,
        "differences": [],
        "claims": [],
        "dimensions": dimensions,
        "histograms": counts,
    }
    write_json(options.out, record)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
