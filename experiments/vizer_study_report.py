"""From finished cells to the file: the choice, scores, differences, the map, the forecast's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from experiments.grid import Cell
from experiments.scoring import (
    Exam,
    changed,
    difference_rows,
    score,
    score_rows,
)
from experiments.vizer_bases import home_of
from experiments.vizer_study_forecast import from_row
from experiments.vizer_study_world import Trial, scenes_of
from experiments.vizer_world import JUDGE
from vizer_core.language.fluency import surprisal_statistics
from vizer_core.metrics.stats import Statistics, bootstrap_seeds
from vizer_core.vizer.drift import measure_drift
from vizer_core.vizer.forecast import ForecastInputs, accuracy, fit_rule, leave_one_out
from vizer_core.vizer.sampled import grounding_statistics, sampled_grounding
from vizer_lab.world import micro_lexicon
from vizer_lab.world.world import world_of
from vizer_lab.zoo import load_micro_clip
from vizer_lab.zoo.language_models import load_micro_lm

Found = dict[str, list[dict[str, Statistics]]]
PRECISION, RECALL = "sampled_object_precision", "sampled_object_recall"
UNSHUFFLED = ("information_0",)  # itself a control
WORTH = 0.04  # of drawn F1: trials before this study called smaller differences noise
MAP_METRICS = (PRECISION, RECALL, "sampled_object_f1", "sampled_exact", "object_f1")


@cache
def exam_of(part: str, place: str, n: int) -> Exam:
    """Prepare a part's scenes once; the other world has no judge."""
    judge = None if place == "other" else load_micro_clip(JUDGE)
    return Exam.of(scenes_of(part, place, n), judge)


def rates(answer: Mapping[str, Any], split: Any) -> dict[str, Statistics]:
    """Return exact grounding of greedy and drawn captions; no model is needed."""
    truths = [scene.truth for scene in split.scenes]
    lexicon = micro_lexicon(world_of(split.name))
    rows = [list(row) for row in zip(*answer["sampled"], strict=True)]
    found = grounding_statistics([[c] for c in answer["greedy"]], truths, lexicon=lexicon)
    return found | sampled_grounding(rows, truths, lexicon=lexicon)


def statistics(answer: Mapping[str, Any], exam: Exam, before: Sequence[str]) -> dict:
    """Return every metric of a cell: greedy in full, drawn captions by grounding and surprisal."""
    found = score(answer["greedy"], exam) | rates(answer, exam.split)
    found |= {"changed": changed(answer["greedy"], before)}
    if exam.judge is None:  # nor has the language model words for what is there
        return found
    return found | {
        "surprise": surprisal([answer["greedy"]]),
        "sampled_surprise": surprisal(answer["sampled"]),
    }


def drawn_statistics(answer: Mapping[str, Any], exam: Exam) -> dict[str, Statistics]:
    """Return the metrics of drawn captions: a cooler draw has the greedy ones of the warm one."""
    every = rates(answer, exam.split).items()
    found = {name: value for name, value in every if name.startswith("sampled_")}
    if exam.judge is None:
        return found
    return found | {"sampled_surprise": surprisal(answer["sampled"])}


def surprisal(draws: Sequence[Sequence[str]]) -> Statistics:
    """Return the nats a word of each scene's captions under a model that saw text alone."""
    lm = load_micro_lm()
    found = [surprisal_statistics(captions, lm) for captions in draws]
    return Statistics(np.sum([each.rows for each in found], axis=0), found[0].value)


def choose(
    trials: Sequence[Trial], base: Sequence[Cell], answers: Mapping[str, Any], n: int
) -> dict[str, Any]:
    """Return the candidate whose smaller gain, of precision and recall, is largest.

    Gains are over the better of the base and the primed base, which no training made.
    """
    split = scenes_of("validation", "home", n)

    def values(answer: Mapping[str, Any]) -> dict[str, float]:
        found = rates(answer, split)
        kept = (PRECISION, RECALL, "sampled_object_f1", "sampled_exact", "sampled_length")
        sums = {name: found[name].rows.sum(axis=0, keepdims=True) for name in kept if name in found}
        rates_of = {name: found[name].value(total)[0] for name, total in sums.items()}
        # precision of captions that name nothing does not exist; as a candidate's it counts 0
        return {name: round(float(rates_of.get(name, 0.0)), 4) for name in kept}

    start, primed = (values(answers[cell.name]) for cell in base)
    rows = []
    for trial in trials:
        if trial.name not in answers:
            continue
        found = values(answers[trial.name])
        gain = min(found[name] - max(start[name], primed[name]) for name in (PRECISION, RECALL))
        about = {"variant": trial.variant, "learning_rate": trial.learning_rate}
        rows.append(about | {"smaller_gain": round(gain, 4), "scores": found,
                             "kl": answers[trial.name]["record"]["kl"]})  # fmt: skip
    rows.sort(key=lambda row: -row["smaller_gain"])
    return {
        "rule": "the largest smaller gain of sampled object precision and recall over the better "
        "of the base and the base with its first word given",
        "scenes": f"validation, {n} from number {split.first}",
        "base": start,
        "primed": primed,
        "best": rows[0],
        "candidates": rows,
    }


def system_of(trial: Trial, best: Trial) -> str:
    """Return base:place:variant, the chosen variant as `best`."""
    name = "best" if trial.variant == best.variant else trial.variant
    return f"{trial.base}:{trial.place}:{name}{'_shuffled' * trial.shuffled}"


def report(
    plan: Mapping[str, Sequence[Trial]],
    baselines: Sequence[Cell],
    answers: Mapping[str, Any],
    best: Trial,
) -> dict[str, Any]:
    """Return scores, differences, map, runs and forecast of what is finished."""
    names = {cell.name for cell in baselines} | {t.name for some in plan.values() for t in some}
    found: Found = {}
    for cell in baselines:
        what = cell.arguments
        if cell.name in answers and what["n"] == best.n:  # the map's have fewer scenes
            before = answers.get(cell.name.rsplit("-", 1)[0] + "-base")
            if before is None:
                continue
            exam = exam_of(what["part"], what["place"], what["n"])
            system = f"{what['base']}:{what['place']}:{what['system']}"
            found[system] = [
                drawn_statistics(answers[cell.name], exam)
                if system.endswith("cool")
                else statistics(answers[cell.name], exam, before["greedy"])
            ]
    runs: dict[str, list] = {}
    for trial in [trial for part in ("core", "away", "other")
                  for trial in plan.get(part, ())]:  # fmt: skip
        start = _base_of(trial, answers)
        if trial.name not in answers or start is None:
            continue
        exam = exam_of(trial.part, trial.place, trial.n)
        name = system_of(trial, best)
        every = statistics(answers[trial.name], exam, start["greedy"])
        found.setdefault(name, []).append(every)
        if "cool" in answers[trial.name]:
            cool = answers[trial.name] | {"sampled": answers[trial.name]["cool"]}
            found.setdefault(f"{name}_cool", []).append(drawn_statistics(cool, exam))
        drift = measure_drift(start["greedy"], answers[trial.name]["greedy"])
        record = answers[trial.name]["record"] | {"seed": trial.seed, "changed": drift.changed}
        record |= {"longer": round(drift.longer, 4), "top1": drift.top1}
        runs.setdefault(system_of(trial, best), []).append(record)
    differences = difference_rows(found, _pairs(found))

    def foretold(part: str, mapped: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
        ended = ends_of(plan.get(part, ()), differences, best) | ends_of_map(mapped)
        return forecast_rows(ended, answers)

    return {
        "best": best.variant,
        "runs": runs,
        "scores": score_rows(found),
        "differences": differences,
        "map": (mapped := map_rows(plan.get("map", ()), answers, best)),
        "outlook": forecast_input_rows(
            foretold("core", [row for row in mapped if home_of(row["base"]) == "home"]),
            foretold("other", [row for row in mapped if home_of(row["base"]) == "other"]),
        ),
        "claims": claims(differences),
        "not_run": sorted(name for name in names if name not in answers),
    }


def _base_of(
    trial: Trial, answers: Mapping[str, Any], system: str = "base"
) -> Mapping[str, Any] | None:
    return answers.get(f"baseline/{trial.base}-{trial.place}-{trial.part}{trial.n}-{system}")


def _pairs(found: Found) -> list[tuple[str, str]]:
    """Return every system against its base and its control, and the best against baselines."""
    pairs = []
    for system, runs in found.items():
        stem, name = system.rsplit(":", 1)
        against = [f"{stem}:base"] if name != "base" else []
        against += [f"{system}_shuffled"]
        if name == "best":
            rivals = ("primed", "primed_cool", "cool", "banned", "best_of_8", "read_back",
                      "information_0")  # fmt: skip
            against += [f"{stem}:{rival}" for rival in rivals]
        if name == "best_cool":  # at the same temperature
            rivals = ("cool", "primed_cool", "best", "information_0_cool")
            against += [f"{stem}:{rival}" for rival in rivals]
        pairs += [(system, other) for other in against
                  if other in found and len(found[other]) in (1, len(runs))]  # fmt: skip
    return pairs


def map_rows(
    trials: Sequence[Trial], answers: Mapping[str, Any], best: Trial
) -> list[dict[str, Any]]:
    """Return each setting's gains over control, base and primed base, seeds that are finished."""
    settings: dict[tuple, list[tuple[Trial, Trial]]] = {}
    for trial in trials:
        control = replace(trial, shuffled=True)
        done = trial.name in answers and control.name in answers and _base_of(trial, answers)
        if not trial.shuffled and done:
            key = (trial.base, trial.variant, trial.mapper_images, trial.learning_rate)
            settings.setdefault(key, []).append((trial, control))
    rows = []
    for (base, variant, size, rate), pairs in settings.items():
        name = "best" if variant == best.variant else variant
        row = {"base": base, "variant": name, "mapper_images": size, "learning_rate": rate}
        split = scenes_of(pairs[0][0].part, pairs[0][0].place, pairs[0][0].n)
        real, mixed = ([rates(answers[pair[i].name], split) for pair in pairs] for i in (0, 1))
        first = pairs[0][0]
        rivals = {"gain": mixed, "over_base": [rates(_base_of(first, answers), split)] * len(pairs)}
        if primed := _base_of(first, answers, "primed"):
            rivals["over_primed"] = [rates(primed, split)] * len(pairs)
        others = [run for runs in rivals.values() for run in runs]
        for metric in [m for m in MAP_METRICS if all(m in run for run in (*real, *others))]:
            for label, against in rivals.items():
                found = bootstrap_seeds(
                    [run[metric] for run in real], against=[run[metric] for run in against]
                )
                row[f"{metric}_{label}"] = {"mean": round(found.mean, 5),
                    "low": round(found.low, 5), "high": round(found.high, 5)}  # fmt: skip
        rows.append(row | {"n": split.n, "seeds": len(pairs)})
    return rows


Ended = dict[str, tuple[str, str, list[Mapping[str, Any]]]]  # name -> base, variant, gains


def ends_of(
    trials: Sequence[Trial], differences: Sequence[Mapping[str, Any]], best: Trial
) -> Ended:
    """Return each finished variant's gains of sampled F1, over its base and over its control."""
    gains = {(row["system"], row["against"]): row for row in differences
             if row["metric"] == "sampled_object_f1"}  # fmt: skip
    ended: Ended = {}
    for base, variant in dict.fromkeys((t.base, t.variant) for t in trials):
        system = system_of(replace(best, base=base, variant=variant, place=home_of(base)), best)
        rivals = (f"{base}:{home_of(base)}:base", f"{system}_shuffled")
        found = [gains[system, rival] for rival in rivals if (system, rival) in gains]
        if found and (len(found) == len(rivals) or variant in UNSHUFFLED):
            ended[f"{base}-{variant}"] = (base, variant, found)
    return ended


def ends_of_map(mapped: Sequence[Mapping[str, Any]]) -> Ended:
    """Return the gains of the map's read-backs at the core's rate: mappers of other sizes."""
    ended: Ended = {}
    for row in mapped:
        if row["variant"] == "read_back" and row["learning_rate"] == Trial.learning_rate:
            name = f"{row['base']}-read_back-m{row['mapper_images']}"
            found = [row[f"sampled_object_f1_{label}"] for label in ("over_base", "gain")]
            ended[name] = (row["base"], name.split("-", 1)[1], found)
    return ended


def forecast_rows(ended: Ended, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Set what was measured before training beside how it ended.

    A run helped where sampled F1 lies `WORTH` or more above its base and its shuffled control, both
    clear of zero.
    """
    rows = []
    for name, (base, variant, found) in ended.items():
        if (seen := answers.get(f"forecast/{name}")) is None:
            continue
        helped = all(gain["low"] > 0 and gain["mean"] >= WORTH for gain in found)
        about = {"base": base, "variant": variant, "helped": helped, "gain": found[-1]["mean"]}
        rows.append(about | {"over_base": found[0]["mean"]} | seen)
    return rows


def seen_and_helped(rows: Sequence[Mapping[str, Any]]) -> tuple[list[ForecastInputs], list[bool]]:
    """Return the forecasts and the ends of rows."""
    return [from_row(row) for row in rows], [row["helped"] for row in rows]


def forecast_input_rows(
    rows: Sequence[dict[str, Any]], elsewhere: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Fit the rule on the bases of home, and judge it on bases that it was not fitted on.

    `elsewhere` are runs of the other world: the rule is judged on them as it is.
    """
    by_base: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_base.setdefault(row["base"], []).append(row)
    if len(by_base) < 2:
        return {"rows": list(rows)}
    seen, helped = seen_and_helped(rows)
    groups = {base: seen_and_helped(some) for base, some in by_base.items()}
    rule, left_out = fit_rule(seen, helped), leave_one_out(groups)
    weights = [len(some) for some in by_base.values()]
    found = {
        "rows": list(rows),
        "worth": WORTH,
        "rule": {"separation": round(rule.auc, 4), "pull": round(rule.length_bias, 4)},
        "accuracy": round(accuracy(rule, seen, helped), 4),
        "accuracy_left_out": round(float(np.average(list(left_out.values()), weights=weights)), 4),
        "by_base": left_out,
        "always_yes": round(sum(helped) / len(helped), 4),
        "n": len(helped),
    }
    if elsewhere:
        seen, helped = seen_and_helped(elsewhere)
        found["other"] = {
            "rows": [row | {"foretold": rule.helps(each)} for row, each in zip(elsewhere, seen)],
            "accuracy": round(accuracy(rule, seen, helped), 4),
            "always_yes": round(sum(helped) / len(helped), 4),
            "n": len(helped),
        }
    return found


def claims(differences: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Judge what the study set out to find, by the intervals alone."""
    rows = {(r["system"], r["against"], r["metric"]): r for r in differences}
    at_home = [f":{place}:best" for place in ("home", "other")]
    bases = sorted({r["system"].split(":")[0] for r in differences
                    if any(mark in r["system"] for mark in at_home)})  # fmt: skip
    judged = []
    texts = {
        "best": "A label-free variant raises sampled object precision and recall over the base and "
        "over its shuffled control",
        "read_back": "The read-back reward raises sampled object precision and recall over the "
        "base and over its shuffled control",
        "literal": "The paper's reading raises sampled object precision and recall over the base "
        "and over its shuffled control",
    }
    for variant, text in texts.items():
        for base in bases:
            system = f"{base}:{home_of(base)}:{variant}"
            wanted = [(system, other, metric) for other in (f"{base}:{home_of(base)}:base",
                      f"{system}_shuffled") for metric in (PRECISION, RECALL)]  # fmt: skip
            found = [rows[key] for key in wanted if key in rows]
            if len(found) < 4:
                continue
            holds = all(row["low"] > 0 for row in found) and min(r["seeds"] for r in found) >= 3
            said = "; ".join(
                f"{row['metric']} {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] over "
                f"{row['against'].rsplit(':', 1)[1]}" for row in found
            )  # fmt: skip
            judged.append({
                "claim": f"{text} ({base})",
                "source": "this study; a shuffled control that collapses is easy to beat, so "
                "read the differences from the primed base as well",
                "rule": "these four differences lie above zero, with three seeds or more",
                "verdict": "holds" if holds else "does not hold",
                "evidence": f"{said}; n {found[0]['n']}, {found[0]['seeds']} seeds",
            })  # fmt: skip
    return judged + _rival_claims(rows, bases)


def _rival_claims(rows: Mapping[tuple, Mapping[str, Any]], bases: Sequence[str]) -> list[dict]:
    """Judge the chosen variant against the rival that its choice was made against."""
    judged = []
    for system, rival, at in (("best", "primed", "1"), ("best_cool", "primed_cool", ".7")):
        for base in bases:
            pair = tuple(f"{base}:{home_of(base)}:{name}" for name in (system, rival))
            found = [rows[(*pair, m)] for m in (PRECISION, RECALL) if (*pair, m) in rows]
            if len(found) < 2:
                continue
            holds = all(row["low"] > 0 and row["seeds"] >= 3 for row in found)
            said = "; ".join(f"{row['metric']} {row['mean']:+.3f} [{row['low']:+.3f}, "
                             f"{row['high']:+.3f}]" for row in found)  # fmt: skip
            judged.append({
                "claim": "The chosen variant raises sampled object precision and recall over an "
                f"untrained base that is given its first word, both drawn at T = {at} ({base})",
                "source": "this study: the rival of the choice on validation scenes",
                "rule": "both differences lie above zero, with three seeds or more",
                "verdict": "holds" if holds else "does not hold",
                "evidence": f"{said}; n {found[0]['n']}, {found[0]['seeds']} seeds",
            })  # fmt: skip
    return judged
