"""Will it help? What can be measured before training, without a label, and a rule that says so.

A reward teaches what it can tell. So the base draws captions of some images, and each is scored
under its own image and under another. These numbers come of it:

==============  ================================================================================
auc             how often a caption scores higher under its own image than another image's
                caption does: the area under the curve of Mann and Whitney. At 1/2 the score does
                not tell images apart, and there is nothing to learn from it
spread          mean standard deviation of scores among an image's own captions: without it all
                captions of an image are equally good
length_bias     mean correlation, among an image's own captions, of score and length: near -1 the
                score wants the shortest caption, whatever the image shows
generic         probability mass of the likeliest first word
mapper_gain     the mapper's cosine on held-out images less a constant answer's; 0 without one
picks           by how many standard deviations the caption that the score likes best of an image's
                own is better than their mean by another score (a yardstick), None without one.
                Near 0 the score pays for a habit, and training on it collapses
flat            nats per token of drawn captions over ln(vocabulary): near 1 for random weights
leak            how much nearer the mapper is to the image in context than to the caption's image;
                0 where no image is in context
==============  ================================================================================

`ForecastRule` turns them into a forecast by a threshold on `auc` and one on `length_bias`, fitted
on runs whose end is known. Its default was fitted on the runs of an earlier study, of the first
edition of the drawn world; `results/improvement.json` is about other models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log

import torch
from jaxtyping import Float, Real
from torch import Tensor

from vizer_core.decoding import Greedy, Sample
from vizer_core.vizer.diagnostics import LEAK_MARGIN, swap_test
from vizer_core.vizer.generate_captions import first_token_mass, vision_batches
from vizer_core.vizer.information import log_likelihood
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.policy_gradient import Reward, captions_an_image, score_captions
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel

FLAT = 0.6  # trained drawn models have .2, real ones .1, random weights 1
# Standard deviations, known to about .1 from 64 images of 4 captions. On the drawn VLM a prior that
# never read alt text has -.1 to 0, and its best of 8 fall from object F1 .29 to .15; priors that
# help have 1.1. The general-text base has .2 to .3 with its own text mode, which still helps.
FEW_PICKS = 0.1
AUC, LENGTH_BIAS = 0.54, -0.26  # of the default rule, as the earlier study fitted it


@dataclass(frozen=True, eq=False)
class ContextCosine:
    """The paper's score as a reward: the cosine of F_I with states that have the image in context.

    To be looked at, not trained on: gradient descent on it is `objectives.ImageContext`.
    """

    vlm: VisionLanguageModel
    fitted: FittedMapper

    @property
    def name(self) -> str:
        """`image_context`."""
        return "image_context"

    @torch.no_grad()
    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions with their image in context."""
        k = captions_an_image(vision, captions)
        with self.vlm.adapter_off():
            states = self.vlm.caption_states(vision, captions)
        features = vision.targets.repeat_interleave(k, dim=0)
        return self.fitted.cosines(states, captions.mask, features)


@dataclass(frozen=True)
class ForecastInputs:
    """What was measured before training; see the table above."""

    n: int
    auc: float
    spread: float
    generic: float
    length_bias: float = 0.0
    mapper_gain: float = 0.0
    leak: float = 0.0
    picks: float | None = None
    flat: float = 0.0

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say in words what speaks against training."""
        found = []
        if self.leak > LEAK_MARGIN:
            found.append(
                f"the score leaks: the mapper is {self.leak:.2f} nearer to the image than to the "
                "image that the caption belongs to"
            )
        if self.spread < 1e-4:
            found.append("all captions of an image score alike: no gradient tells them apart")
        if self.picks is not None and self.picks < FEW_PICKS:
            found.append(
                "what the score likes best of an image's captions fits the image no better than "
                f"their mean ({self.picks:+.2f} standard deviations, by log p beside other "
                "images): it pays for a habit, and training would collapse"
            )
        if self.flat > FLAT:
            found.append(
                f"drawn captions are {self.flat:.0%} as uncertain as words drawn at random: the "
                "model has random weights, or is asked in a way that it was not trained for"
            )
        return tuple(found)


@dataclass(frozen=True)
class ForecastRule:
    """Training is forecast to help where both are at least these and no `reasons` speak against."""

    auc: float = AUC
    length_bias: float = LENGTH_BIAS

    def helps(self, measured: ForecastInputs) -> bool:
        """Forecast.

        >>> ForecastRule(0.6).helps(ForecastInputs(64, auc=0.7, spread=0.1, generic=0.3))
        True
        """
        tells_apart = measured.auc >= self.auc and measured.length_bias >= self.length_bias
        return tells_apart and not measured.reasons

    def say(self, measured: ForecastInputs) -> str:
        """Put a forecast into one sentence."""
        numbers = (
            f"own captions score above another image's in {measured.auc:.1%} of pairs "
            f"({measured.n} images; 50% is chance), first-word mass {measured.generic:.2f}"
        )
        if self.helps(measured):
            return f"forecast: training may help; {numbers}"
        why = [*measured.reasons]
        if measured.auc < self.auc:
            why.append(f"wanted at least {self.auc:.1%}")
        if measured.length_bias < self.length_bias:
            why.append(
                "the score wants short captions: its correlation with length is "
                f"{measured.length_bias:.2f}, wanted at least {self.length_bias:.2f}"
            )
        return f"forecast: training is not expected to help; {numbers}; {'; '.join(why)}"


def auc(own: Float[Tensor, " m"], other: Float[Tensor, " n"]) -> float:
    """Return the share of pairs in which the own caption scores higher; ties count half.

    Entry i of both is a score under the same image.

    >>> auc(torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([0.0, 3.0, 3.0, -1.0]))
    0.625
    """
    if own.shape != other.shape or not len(own):
        raise ValueError(f"got {tuple(own.shape)} and {tuple(other.shape)} scores: wanted as many")
    gap = (own - other).double()
    return float((gap > 0).double().mean() + 0.5 * (gap == 0).double().mean())


def length_bias(scores: Real[Tensor, "n k"], lengths: Real[Tensor, "m l"]) -> float:
    """Return the mean over images of the correlation of score and length of k captions each.

    Images whose captions are all of one length, or all of one score, say nothing and are left
    out; 0 where none is left.

    >>> length_bias(torch.tensor([[3.0, 2.0, 1.0], [5.0, 5.0, 5.0]]), torch.tensor([[2, 3, 4]] * 2))
    -1.0
    """
    if scores.shape != lengths.shape:
        raise ValueError(
            f"got {tuple(scores.shape)} scores and {tuple(lengths.shape)} lengths: wanted as many"
        )
    a, b = (
        values.double() - values.double().mean(dim=1, keepdim=True) for values in (scores, lengths)
    )
    scale = a.norm(dim=1) * b.norm(dim=1)
    told = (a.norm(dim=1) > 1e-9) & (b.norm(dim=1) > 0)
    found = (a * b).sum(dim=1)[told] / scale[told]
    return round(float(found.mean()), 6) if len(found) else 0.0


@torch.no_grad()
def measure_forecast_inputs(
    vlm: VisionLanguageModel,
    source: VisionSource,
    reward: Reward,
    *,
    samples: int = 4,
    decoding: Sample | None = None,
    generator: torch.Generator,
    yardstick: Reward | None = None,
) -> ForecastInputs:
    """Draw captions, and score each under its image and in the place of the next image's.

    Images are compared within batches, each with the one after it; one that is left alone in the
    last batch is not scored, nor counted in `n`. `yardstick` is another score, by which what the
    reward likes best is judged.
    """
    if len(source) < 2 or samples < 2:
        raise ValueError(
            f"{len(source)} images with {samples} captions each: wanted at least 2 of both"
        )
    right, wrong, spreads, lengths, picks = [], [], [], [], []
    nats, tokens = 0.0, 0
    rule = decoding or Sample()
    with vlm.adapter_off():
        for vision in vision_batches(source):
            if len(vision) < 2:
                continue
            captions = vlm.generate(vision, decoding=rule, samples=samples, generator=generator)
            scores = score_captions(reward, vision, captions)
            moved = [(i + samples) % len(captions) for i in range(len(captions))]
            right.append(scores)
            wrong.append(score_captions(reward, vision, captions.select(moved)))
            spreads.append(scores.reshape(len(vision), samples).std(dim=1, correction=0))
            lengths.append(captions.mask.sum(dim=1))
            nats -= float(log_likelihood(vlm, vision, captions).sum())
            tokens += int(captions.mask.sum())
            if yardstick is not None:
                other = score_captions(yardstick, vision, captions)
                picks.append(_picks(scores.reshape(-1, samples), other.reshape(-1, samples)))
        mass = first_token_mass(vlm, source, top=1)
    return ForecastInputs(
        n=len(torch.cat(spreads)),
        auc=auc(torch.cat(right), torch.cat(wrong)),
        spread=float(torch.cat(spreads).mean()),
        generic=max(mass.values(), default=0.0),
        length_bias=length_bias(
            torch.cat(right).reshape(-1, samples), torch.cat(lengths).reshape(-1, samples)
        ),
        picks=float(torch.cat(picks).mean()) if picks else None,
        flat=nats / max(tokens, 1) / log(_vocabulary(vlm)),
    )


def _picks(scores: Float[Tensor, "b k"], other: Float[Tensor, "n l"]) -> Float[Tensor, " b"]:
    """Return how far the best by the first is above the mean by the second, in its deviations.

    >>> _picks(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.0]]))
    tensor([-1.])
    """
    best = other.gather(1, scores.argmax(dim=1, keepdim=True).to(other.device))[:, 0]
    return (best - other.mean(dim=1)) / other.std(dim=1, correction=0).clamp_min(1e-6)


def _vocabulary(vlm: VisionLanguageModel) -> int:
    return int(vlm.token_logits(vlm.embed(torch.zeros(1, 1, dtype=torch.long))).shape[-1])


@torch.no_grad()
def mapper_leak(vlm: VisionLanguageModel, fitted: FittedMapper, source: VisionSource) -> float:
    """Return the leak index of a mapper whose states have the image in context (`diagnostics`)."""

    def read(vision: VisionBatch, captions: CaptionBatch) -> Tensor:
        return fitted.mapper.read(vlm.caption_states(vision, captions), captions.mask)

    vision = source.select(list(range(len(source))))
    order = [(i + 1) % len(vision) for i in range(len(vision))]
    with vlm.adapter_off():
        captions = vlm.generate(vision, decoding=Greedy())
        targets = fitted.targets(vision.targets)
        return swap_test(read, vision, captions, targets, order=order).index


def with_mapper(
    measured: ForecastInputs, fitted: FittedMapper, *, leak: float = 0.0
) -> ForecastInputs:
    """Add what a mapper's held-out pairs said, and how much it leaks where that was measured."""
    eval_points = fitted.history.held_out
    gain = eval_points[-1].cosine - eval_points[-1].constant_cosine if eval_points else 0.0
    return replace(measured, mapper_gain=gain, leak=leak)


def fit_rule(measurements: Sequence[ForecastInputs], helped: Sequence[bool]) -> ForecastRule:
    """Choose the two thresholds that forecast most of these runs rightly; the middle of equals.

    >>> seen = [ForecastInputs(9, auc=s, spread=1.0, generic=0.1) for s in (0.5, 0.6, 0.8)]
    >>> round(fit_rule(seen, [False, False, True]).auc, 2)
    0.7
    """
    if len(measurements) != len(helped) or not measurements:
        raise ValueError(
            f"{len(measurements)} forecasts and {len(helped)} ends: wanted as many, one up"
        )
    cuts = _between([measured.auc for measured in measurements], 0.0)
    biases = _between([measured.length_bias for measured in measurements], -1.0)
    rules = [ForecastRule(cut, length_bias) for length_bias in biases for cut in cuts]
    right = [accuracy(rule, measurements, helped) for rule in rules]
    best = [rule for rule, share in zip(rules, right) if share == max(right)]
    biases = sorted({rule.length_bias for rule in best})
    best = [rule for rule in best if rule.length_bias == biases[len(biases) // 2]]
    return best[len(best) // 2]


def _between(values: Sequence[float], least: float) -> list[float]:
    ordered = sorted(set(values))
    return [least, *((a + b) / 2 for a, b in pairwise(ordered)), 1.0 + 1e-9]


def accuracy(
    rule: ForecastRule, measurements: Sequence[ForecastInputs], helped: Sequence[bool]
) -> float:
    """Return the share of runs whose end a rule forecasts."""
    hits = [rule.helps(seen) == end for seen, end in zip(measurements, helped, strict=True)]
    return sum(hits) / len(hits)


def leave_one_out(
    groups: Mapping[str, tuple[Sequence[ForecastInputs], Sequence[bool]]],
) -> dict[str, float]:
    """Fit the rule without one group (a base) at a time; return its accuracy on that group."""
    if len(groups) < 2:
        raise ValueError(f"got {len(groups)} groups: wanted at least 2, to leave one out")
    found = {}
    for name, (measurements, helped) in groups.items():
        rest = [pair for other, pair in groups.items() if other != name]
        seen = [each for some, _ in rest for each in some]
        rule = fit_rule(seen, [end for _, ends in rest for end in ends])
        found[name] = accuracy(rule, measurements, helped)
    return found
