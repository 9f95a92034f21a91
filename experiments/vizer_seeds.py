"""Make `results/seeds/vizer_micro.json`: the finished runs of the ViZer study, seed by seed.

    python -m experiments.vizer_seeds --runs .cache/vizer

`vizer_micro.json` says what a system does on average over seeds. Whether a difference between two
settings is larger than that between two seeds of one setting can only be seen run by run. Nothing
is trained here: the captions of the study's cells are scored again, so this takes a minute.

A run's rows have the system `name#seed`; their interval is over scenes alone, and a number of a
run that has no scenes (`mapper_cosine`, `kl`) stands with its ends equal to itself. Rows without
`#` are means over seeds, their interval over scenes and seeds, as in the study's own file;
differences are paired: with the shuffled control, with the base, and in the ablation with its
middle setting. `examples` holds greedy captions of the first test images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.grid import seconds_spent
from experiments.scoring import difference_rows, score_rows
from vizer_core.evaluation import evaluate, make_references
from vizer_core.files import read_json, write_json
from vizer_core.metrics.references import References
from vizer_core.metrics.stats import Statistics, bootstrap_many
from vizer_core.runtime import git_commit, hardware
from vizer_core.vizer.sampled import draws_of, grounding_statistics, sampled_grounding
from vizer_lab.world import MicroSplit, micro_lexicon

OUT, RUNS = Path("results/seeds/vizer_micro.json"), Path(".cache/vizer")
MIDDLE = "m4000:w256"  # what the other settings of the ablation are compared with
STANDARD = (10_000, 256)  # mapper data and width of the main table; other cells are the ablation
KEPT = ("bleu1", "cider", "object_f1", "exact", "sampled_object_f1", "sampled_exact")
EXAMPLES = 8  # images whose captions are kept
DIGITS = 5


def run_name(arguments: Mapping[str, Any]) -> str:
    """Name a run as `vizer_micro.json` names its system, with `#seed` behind."""
    name = arguments["variant"] + "_shuffled" * arguments["shuffled"]
    name += "_random_mapper" * arguments["random_mapper"]
    size, width = arguments["mapper_images"], arguments["width"]
    if (size, width) != STANDARD:
        name = f"ablation:{name}:m{size}:w{width}"
    if arguments["base"].endswith("-hard"):
        name = f"hard:{name}"
    return f"{name}#{arguments['seed']}"


def finished(runs: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and the answer of every finished cell: trained runs, then the bare base."""
    for path in sorted((Path(runs) / "trial").glob("*.json")):
        record = read_json(path)
        yield run_name(record["cell"]["arguments"]), record["answer"]
    for path in sorted((Path(runs) / "baseline").glob("*-base.json")):
        prefix = "hard:" if "-hard-" in path.name else ""
        yield f"{prefix}base#0", read_json(path)["answer"]


def run_statistics(
    answer: Mapping[str, Any], split: MicroSplit, references: References
) -> dict[str, Statistics]:
    """Score one run: greedy captions by references and exactly, drawn ones exactly."""
    truths, lexicon = [scene.truth for scene in split.scenes], micro_lexicon()
    found = evaluate(
        dict(zip(split.ids, answer["greedy"], strict=True)), references,
        metrics=["bleu", "cider"], missing_captions="empty", resamples=1,
    ).statistics  # fmt: skip
    found = dict(found) | grounding_statistics(
        [[caption] for caption in answer["greedy"]], truths, lexicon=lexicon
    )
    found |= sampled_grounding(draws_of(answer["sampled"]), truths, lexicon=lexicon)
    return {metric: found[metric] for metric in KEPT if metric in found}


def run_rows(name: str, answer: Mapping[str, Any], statistics: Mapping[str, Statistics]) -> list:
    """Return a run's rows: its scores with intervals over scenes, then what it recorded."""
    rows = [
        {"system": name, "metric": metric, "mean": value.mean, "low": value.low,
         "high": value.high, "n": value.n, "seeds": 1}
        for metric, value in bootstrap_many(statistics).items()
    ]  # fmt: skip
    record = answer.get("record", {})
    facts = {
        "mapper_cosine": (record.get("mapper") or {}).get("cosine"),
        "kl": (record.get("kl") or [None])[-1],
        "changed": record.get("changed"),
    }
    rows += [
        {"system": name, "metric": metric, "mean": value, "low": value, "high": value,
         "n": len(answer["greedy"]), "seeds": 1}
        for metric, value in facts.items()
        if value is not None
    ]  # fmt: skip
    return [
        {key: round(value, DIGITS) if isinstance(value, float) else value
         for key, value in row.items()}
        for row in rows
    ]  # fmt: skip


def group_pairs(groups: Mapping[str, Sequence]) -> list[tuple[str, str]]:
    """Return which groups of runs are compared: with control, base and middle setting.

    A control of which not all seeds are finished is left out.
    """
    pairs = []
    for name in groups:
        scope = "hard:" if name.startswith("hard:") else ""
        middle = f"{name.split(':m')[0]}:{MIDDLE}"
        if name.startswith("ablation:") and name != middle:
            others = [middle]
        else:
            others = [f"{name}_shuffled", f"{scope}base"][: 1 + (name != f"{scope}base")]
        sizes = (1, len(groups[name]))
        pairs += [(name, other) for other in others if len(groups.get(other, ())) in sizes]
    return pairs


def main() -> None:
    """Read the options, score every finished run, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    rows: list[dict] = []
    examples: dict[str, Sequence[str]] = {}
    groups: dict[str, list[dict[str, Statistics]]] = {}
    split = references = None
    for name, answer in finished(options.runs):
        if split is None or references is None:
            split = MicroSplit("test", len(answer["greedy"]))
            references = make_references(split.references)
        statistics = run_statistics(answer, split, references)
        rows += run_rows(name, answer, statistics)
        groups.setdefault(name.partition("#")[0], []).append(statistics)
        examples[name] = answer["greedy"][:EXAMPLES]
        print(name, file=sys.stderr)
    if not rows:
        raise FileNotFoundError(
            f"no finished run under {options.runs}: run python -m experiments.vizer_micro first"
        )
    write_json(
        options.out,
        {
            "experiment": "vizer_micro",
            "command": "python -m experiments.vizer_seeds",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": seconds_spent(options.runs),  # of one core: the runs that are scored here
            "interval": "95% bootstrap, over scenes for a run, over scenes and seeds for a mean",
            "examples": examples,
            "scores": rows + score_rows(groups),
            "differences": difference_rows(groups, group_pairs(groups)),
            "claims": [],
        },
    )


if __name__ == "__main__":
    main()
