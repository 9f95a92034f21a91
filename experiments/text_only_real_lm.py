"""Make `results/text_only_real_lm.json`: CapDec, DeCap and MacCap before a real language model.

    make real
    nice python -m experiments.text_only_real_lm          # an hour of one core a network; goes on

The rows of `experiments.maccap_drawn` that train on text, with SmolLM2-135M frozen in drawn-lm's
place, as OPT is in the paper: the same CLIP, captions, steps, noise and start as a reader of words.
`--steps` trains fewer, and the file says how many; the rows `drawn:` are drawn-lm's at equal steps,
a minute each. Trainings save themselves every few steps.

==================  ==================  ========================================================
network             systems             as in the study
==================  ==================  ========================================================
single_noise        capdec              one token, with noise
single_clean        decap, baseline     one token, without
multi_noise         maccap, _global     ten tokens, with noise; one pass each, without filtering
supervised          clipcap             one token, of images: the bound
==================  ==================  ========================================================

`...|another` scores each image's caption as the one of the image before it: a control.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from experiments import maccap_world as world
from experiments.grid import Cell, run_grid, seconds_spent
from experiments.maccap_cells import Run, by_parts, config_of
from experiments.maccap_claims import Claim, rows_of, upper_gate, verdict
from experiments.scoring import Exam, difference_rows, score, score_rows
from vizer_core.captioners import (
    Baseline,
    CapDec,
    Captioner,
    ClipCap,
    ClipRe,
    DeCap,
    GlobalTokens,
    MacCap,
    MemoryBank,
    RegionTokens,
)
from vizer_core.decoding import Greedy
from vizer_core.files import write_json
from vizer_core.language import CausalLM
from vizer_core.models import load_lm
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.textonly import (
    Checkpoint,
    GaussianNoise,
    PrefixGenerator,
    TrainingPairs,
    fit_text_only,
    load_prefix_network,
    save_prefix_network,
)
from vizer_lab.zoo.drawn_captioners import DRAWN_MACCAP, DRAWN_NETWORK, MATCHED, word_reader

OUT, RUNS = Path("results/text_only_real_lm.json"), Path(".cache/text_only_real_lm")
LANGUAGE_MODELS = {"real": "smollm2-135m", "drawn": world.LANGUAGE_MODEL}
READERS = {
    "single_noise": ("capdec",),
    "single_clean": ("decap", "baseline"),
    "multi_noise": ("maccap_pass", "maccap_pass_global"),
    "supervised": ("clipcap",),
}
CLAIMS = (
    ("noise in training helps a captioner that reads one token",
     "CapDec, section 3; MacCap, Table 5, has no gain",
     "capdec", ("baseline",)),
    ("several noisy tokens beat one noisy token",
     "our reading of several tokens; MacCap, Table 5, has no gain",
     "maccap_pass_global", ("capdec",)),
    ("sub-regions beat copies of the global feature", "MacCap, Table 5",
     "maccap_pass", ("maccap_pass_global",)),
    ("one pass of MacCap beats CapDec, DeCap and the baseline",
     "MacCap, Table 3, without filtering", "maccap_pass", ("capdec", "decap", "baseline")),
    ("captions belong to their images", "our control", "maccap_pass", ("maccap_pass|another",)),
)  # fmt: skip
DECODING = Greedy(20)
SECONDS = {"real": 6.0, "drawn": 0.2}  # of one core, a step of 64 captions
EVERY = 10  # steps between two states of a training
ANOTHER = "|another"


@cache
def language_model(kind: str = "real") -> CausalLM:
    """Load the real language model, or the drawn one, once a process."""
    return load_lm(LANGUAGE_MODELS[kind], device="cpu")


def run_of(options: argparse.Namespace, kind: str = "real") -> Run:
    """Return where a language model's cells lie, with the study's own choices of noise."""
    variance = DRAWN_MACCAP.noise
    assert isinstance(variance, GaussianNoise)
    return Run(
        str(options.runs if kind == "real" else options.runs / kind),
        n=options.n,
        scenes=options.scenes,
        variance=variance.variance,
        single=MATCHED,
    )


def train(recipe: str, steps: int, where: dict[str, Any], kind: str = "real") -> dict[str, Any]:
    """Train one network before a language model, and store it."""
    run, lm = Run(**where), language_model(kind)
    pairs, config = run.corpus, config_of(recipe, run.variance_of(recipe))
    if recipe == "supervised":
        pairs = world.image_pairs(run.runs, run.clip, run.texts, run.scenes)
    kept = steps * config.batch_size
    if kept < len(pairs):
        chosen = torch.randperm(len(pairs), generator=seeded(run.seed))[:kept]
        texts = [pairs.captions[i] for i in chosen.tolist()]
        pairs = TrainingPairs(pairs.features[chosen], texts)
    torch.manual_seed(run.seed)
    network = replace(DRAWN_NETWORK, lm_width=lm.width)
    reader = word_reader(pairs, config, lm, generator=seeded(run.seed), network=network)
    path = run.prefix_network_path(recipe)
    state = Checkpoint(Path(run.runs) / "states" / path.name, every=EVERY)
    history = fit_text_only(
        reader, lm, pairs, config, generator=seeded(run.seed), checkpoint=state, progress=True
    )
    save_prefix_network(path, reader, encoder=run.encoder, language_model=lm, metadata={})
    return {
        "loss": round(history.mean_loss(), 4),
        "steps": len(history.loss),
        "quarters": by_parts(history.loss, 4),
    }


def captioner_of(system: str, run: Run, kind: str) -> Captioner:
    """Make one of the study's systems before a language model."""
    if system == "clipre":
        return ClipRe(_memory(run))
    recipe = next(name for name, systems in READERS.items() if system in systems)
    lm = language_model(kind)
    path = run.prefix_network_path(recipe)
    reader = load_prefix_network(path, encoder=run.encoder, language_model=lm)
    generator = PrefixGenerator(reader, lm, DECODING, rows=50)
    if system == "decap":
        return DeCap(generator, _memory(run))
    if system.startswith("maccap"):
        tokens = GlobalTokens() if system.endswith("global") else RegionTokens()
        return MacCap(generator, tokens, GaussianNoise(run.variance))
    return {"capdec": CapDec, "baseline": Baseline, "clipcap": ClipCap}[system](generator)


def _memory(run: Run) -> MemoryBank:
    pairs = run.corpus
    return MemoryBank(tuple(pairs.captions), pairs.features, run.encoder.fingerprint)


def caption(system: str, where: dict[str, Any], kind: str = "real") -> list[str]:
    """Caption the test images with one system."""
    run = Run(**where)
    states = run.states(run.part)
    return list(captioner_of(system, run, kind).caption(states, generator=seeded(run.seed)))


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Train, caption, score: the file's content, of the networks that were asked for."""
    run = run_of(options)
    captions, training = {}, {}
    for kind in options.language_models:
        own, trained = captions_before(kind, options)
        captions |= own
        training |= trained
    exam = Exam.of(world.split_of(run.images, run.part, run.n), None)
    table = {}
    for system, own in captions.items():
        table[system] = [score(own, exam)]
        table[system + ANOTHER] = [score([*own[1:], own[0]], exam)]
    systems = list(captions)
    pairs = [(system, system + ANOTHER) for system in systems]
    pairs += [(a, b) for i, a in enumerate(systems) for b in systems[:i] if comparable(a, b)]
    differences = difference_rows(table, pairs)
    return {
        "experiment": "text_only_real_lm",
        "command": f"python -m experiments.text_only_real_lm --n {options.n} "
        f"--steps {options.steps} --networks {' '.join(options.networks)}",
        "commit": git_commit(),
        "hardware": hardware(),
        "seconds": seconds_spent(options.runs),
        "interval": "95% bootstrap over images, one training; differences are paired",
        "models": {"clip": run.clip}
        | {kind: LANGUAGE_MODELS[kind] for kind in options.language_models},
        "training": training,
        "scores": score_rows(table),
        "differences": differences,
        "claims": verdicts(differences, options.language_models),
    }


def captions_before(
    kind: str, options: argparse.Namespace
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Train every network before a language model; return its systems' captions and its losses."""
    run = run_of(options, kind)
    world.encode(run.runs, run.clip, n=run.n, scenes=run.scenes)
    of = {"where": asdict(run)} | ({} if kind == "real" else {"kind": kind})
    trained = {}
    for recipe in options.networks:
        asked = {"recipe": recipe, "steps": options.steps} | of
        name = f"train/{recipe}-{options.steps}"
        cell = Cell(name, train, asked, seconds=SECONDS[kind] * options.steps)
        answer = run_grid([cell], Path(run.runs), workers=1, progress=True)[name]
        trained[f"{kind}:{recipe}"] = answer
    systems = [system for recipe in options.networks for system in READERS[recipe]]
    if kind == "real":
        systems = ["clipre", *systems]
    cells = [
        Cell(f"{system}-{options.steps}-{run.n}", caption, {"system": system} | of, 60.0)
        for system in systems
    ]
    answers = run_grid(cells, Path(run.runs), workers=1, progress=True)
    names = ["clipre" if system == "clipre" else f"{kind}:{system}" for system in systems]
    return {name: answers[cell.name] for name, cell in zip(names, cells)}, trained


def verdicts(differences: Sequence[dict[str, Any]], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Judge the claims that the rows can decide, before each language model.

    The gate is the study's: the network that is trained on pairs beats retrieval.
    """
    rows, found = rows_of(differences), []
    for kind in kinds:
        gate = upper_gate(f"{kind}:clipcap", "clipre", rows)
        for sentence, source, winner, losers in CLAIMS:
            pairs = tuple((f"{kind}:{winner}", f"{kind}:{loser}") for loser in losers)
            named = f"Before {LANGUAGE_MODELS[kind]}: {sentence}"
            record = verdict(Claim(named, source, pairs), rows, gate)
            found += [record] if record else []
    return found


def comparable(system: str, other: str) -> bool:
    """Tell whether two rows share their language model, or their network.

    >>> comparable("real:capdec", "real:maccap_pass"), comparable("real:capdec", "drawn:capdec")
    (True, True)
    >>> comparable("real:capdec", "drawn:decap")
    False
    """
    if "clipre" in (system, other):
        return True
    (kind, name), (other_kind, other_name) = system.split(":"), other.split(":")
    return kind == other_kind or name == other_name


def main() -> None:
    """Read the options, run the study, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=200, help="test images")
    parser.add_argument("--scenes", type=int, default=world.FIRST_TRAINING_SCENES)
    parser.add_argument("--steps", type=int, default=566, help="of each training: all captions")
    parser.add_argument("--networks", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument(
        "--language-models", nargs="+", default=list(LANGUAGE_MODELS), choices=list(LANGUAGE_MODELS)
    )
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_json(options.out, study(options))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
