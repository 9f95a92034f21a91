"""Time our metrics against pycocoevalcap on real COCO captions, in one process.

    python benchmarks/metrics.py              # some minutes; writes results/metrics_benchmark.json
    python benchmarks/metrics.py --quick      # 300 images, no METEOR, no memory; writes nothing

Needs Java and the package pycocoevalcap (pip install "vizer-core[java]"), which also carries the
captions. Times are CPU seconds of this process and its children (the JVMs), best of several runs:
wall-clock time on a shared machine says little. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vizer_core.data.coco import coco2014
from vizer_core.files import write_json
from vizer_core.metrics.bleu import bleu_counts, bleu_from_counts
from vizer_core.metrics.cider import cider, cider_scores
from vizer_core.metrics.meteor import meteor_counts, meteor_from_counts
from vizer_core.metrics.ngrams import index_hypotheses, index_references
from vizer_core.metrics.rouge import rouge_l
from vizer_core.metrics.stats import Statistics, mean_statistics, paired_bootstraps
from vizer_core.metrics.tokenize import tokenize_captions
from vizer_core.runtime import git_commit, hardware

ROOT = Path(__file__).resolve().parent.parent
SMALL, MEMORY_IMAGES = 10, 40_504


def cpu_seconds() -> float:
    """CPU seconds so far of this process and of the children it has waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def timed(label: str, run: Callable, repeats: int):
    """Return the least CPU time of several runs, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = cpu_seconds()
        with contextlib.redirect_stdout(io.StringIO()):
            result = run()
        best = min(best, cpu_seconds() - start)
    print(f"{label}: {best:.3f} s", file=sys.stderr)
    return best, result


def captions(images: int) -> tuple[list[str], list[list[str]]]:
    """Human captions: the first of each image as hypothesis, the next four as references."""
    records = coco2014("val")[:images]
    return [r.captions[0] for r in records], [list(r.captions[1:5]) for r in records]


def our_scores(hypotheses: list[str], references: list[list[str]]) -> dict[str, np.ndarray]:
    """Score tokenised captions: BLEU counts, ROUGE-L and CIDEr-D of each image."""
    indexed = index_references(references)
    said = index_hypotheses(hypotheses, indexed)
    return {
        "bleu": bleu_counts(said, indexed),
        "rouge_l": rouge_l(hypotheses, references),
        "cider": cider_scores(said, indexed),
    }


def our_pipeline(hypotheses: list[str], references: list[list[str]]) -> dict[str, np.ndarray]:
    """Go from raw captions to scores."""
    return our_scores(tokenize_captions(hypotheses), [tokenize_captions(r) for r in references])


def their_scores(hypotheses: list[str], references: list[list[str]]) -> dict[str, np.ndarray]:
    """Score the same with pycocoevalcap, tokenised captions."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    said, held = {i: [h] for i, h in enumerate(hypotheses)}, dict(enumerate(references))
    corpus, each = Bleu(4).compute_score(held, said, verbose=0)
    return {
        "bleu_corpus": np.array(corpus),
        "bleu_each": np.array(each).T,
        "rouge_l": Rouge().compute_score(held, said)[1],
        "cider": Cider().compute_score(held, said)[1],
    }


def their_tokens(hypotheses: list[str], references: list[list[str]]) -> tuple[list, list]:
    """Tokenise with pycocoevalcap's wrapper, once for each file as its evaluation does."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rows = {i: [{"caption": clean(h)}] for i, h in enumerate(hypotheses)}
    said = PTBTokenizer().tokenize(rows)
    rows = {i: [{"caption": clean(c)} for c in refs] for i, refs in enumerate(references)}
    held = PTBTokenizer().tokenize(rows)
    return [said[i][0] for i in range(len(said))], [held[i] for i in range(len(held))]


def clean(caption: str) -> str:
    """Remove line separators, which make the wrapper shift all later captions."""
    return " ".join(caption.split())


def their_pipeline(hypotheses: list[str], references: list[list[str]]) -> dict[str, np.ndarray]:
    """Go from raw captions to scores with pycocoevalcap."""
    return their_scores(*their_tokens(hypotheses, references))


def largest_difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Return the largest difference of any score, per image or of the corpus."""
    differences = [
        bleu_from_counts(ours["bleu"]) - theirs["bleu_each"],
        bleu_from_counts(ours["bleu"].sum(axis=0)) - theirs["bleu_corpus"],
        ours["rouge_l"] - theirs["rouge_l"],
        ours["cider"] - theirs["cider"],
    ]
    return max(float(np.abs(d).max()) for d in differences)


def compare_pipelines(images: int, repeats: int) -> dict[str, float]:
    """Time raw captions to BLEU, ROUGE-L and CIDEr-D, and each part alone."""
    raw = captions(images)
    tokens = (tokenize_captions(raw[0]), [tokenize_captions(r) for r in raw[1]])
    ours, _ = timed(f"ours, {images} images", lambda: our_pipeline(*raw), repeats)
    theirs, _ = timed(f"theirs, {images} images", lambda: their_pipeline(*raw), repeats)
    few = (raw[0][:SMALL], raw[1][:SMALL])
    ours_few, _ = timed(f"ours, {SMALL} images", lambda: our_pipeline(*few), 5 * repeats)
    theirs_few, _ = timed(f"theirs, {SMALL} images", lambda: their_pipeline(*few), repeats)
    our_cider, _ = timed("our CIDEr", lambda: cider(*tokens), repeats)
    their_cider, _ = timed("their CIDEr", lambda: their_cider_scores(*tokens), repeats)
    java = their_tokens(*raw)
    same = [a == b for a, b in zip(tokens[0], java[0])]
    same += [a == b for refs in zip(*(t[1] for t in (tokens, java))) for a, b in zip(*refs)]
    return {
        "images": images,
        "pipeline_speedup": theirs / ours,
        "pipeline_speedup_10_images": theirs_few / ours_few,
        "pipeline_seconds": ours,
        "cider_speedup": their_cider / our_cider,
        "max_abs_diff": largest_difference(our_scores(*tokens), their_scores(*tokens)),
        "same_tokens_share": float(np.mean(same)),
        "captions_tokenised": len(same),
    }


def their_cider_scores(hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    """CIDEr alone."""
    from pycocoevalcap.cider.cider import Cider

    said, held = {i: [h] for i, h in enumerate(hypotheses)}, dict(enumerate(references))
    return Cider().compute_score(held, said)[1]


def compare_meteor(images: int) -> dict[str, float]:
    """Time METEOR once each; ours with the cut paraphrase table in the cache, and without."""
    from pycocoevalcap.meteor.meteor import Meteor

    raw = captions(images)
    tokens = (tokenize_captions(raw[0]), [tokenize_captions(r) for r in raw[1]])

    def theirs():
        scorer = Meteor()
        held = dict(enumerate(tokens[1]))
        value = scorer.compute_score(held, {i: [h] for i, h in enumerate(tokens[0])})
        scorer.meteor_p.stdin.close()
        scorer.meteor_p.wait()  # or its CPU time is not counted
        return value

    first, _ = timed("our METEOR, first use", lambda: meteor_counts(*tokens), 1)
    cached, counts = timed("our METEOR, table cached", lambda: meteor_counts(*tokens), 2)
    stock, (corpus, each) = timed("their METEOR", theirs, 1)
    total = meteor_from_counts(counts.sum(axis=0, keepdims=True))[0]
    difference = max(abs(total - corpus), float(np.abs(meteor_from_counts(counts) - each).max()))
    return {
        "meteor_speedup": stock / cached,
        "meteor_speedup_first_use": stock / first,
        "meteor_max_abs_diff": difference,
    }


def time_bootstrap(images: int, repeats: int) -> dict[str, float]:
    """Time 1,000 paired resamples of five metrics for two systems."""
    raw = captions(images)
    references = [tokenize_captions(r) for r in raw[1]]
    first, second = tokenize_captions(raw[0]), [refs[0] for refs in references]
    rest = [refs[1:] for refs in references]

    def statistics(hypotheses: list[str]) -> dict[str, Statistics]:
        scores = our_scores(hypotheses, rest)
        rows = scores["bleu"].astype(np.float64)
        lengths = np.array([len(h.split()) for h in hypotheses])
        return {
            "bleu1": Statistics(rows, lambda sums: bleu_from_counts(sums)[..., 0]),
            "bleu4": Statistics(rows, lambda sums: bleu_from_counts(sums)[..., 3]),
            "rouge_l": mean_statistics(scores["rouge_l"]),
            "cider": mean_statistics(scores["cider"]),
            "length": mean_statistics(lengths),
        }

    a, b = statistics(first), statistics(second)
    seconds, _ = timed("1,000 paired bootstraps", lambda: paired_bootstraps(a, b), repeats)
    return {"bootstrap_seconds": seconds}


def resident_mib(field: str) -> float:
    """Read this process's resident memory (VmRSS) or its peak (VmHWM) from Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/self/status has no {field}")


def measure_memory(who: str, path: Path) -> None:
    """Score saved tokens in this process alone, and print the memory that it took."""
    hypotheses, references = json.loads(path.read_text(encoding="utf-8"))
    score = {"ours": our_scores, "theirs": their_scores}[who]
    score(hypotheses[:SMALL], references[:SMALL])  # imports happen before the measurement
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident_mib("VmRSS")
    start = cpu_seconds()
    with contextlib.redirect_stdout(io.StringIO()):
        score(hypotheses, references)
    print(json.dumps([resident_mib("VmHWM") - before, cpu_seconds() - start]))


def compare_memory(images: int) -> dict[str, float]:
    """Measure the extra memory of scoring, each side in a process of its own."""
    raw = captions(images)
    tokens = (tokenize_captions(raw[0]), [tokenize_captions(r) for r in raw[1]])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens.json"
        path.write_text(json.dumps(tokens), encoding="utf-8")
        for who in ("ours", "theirs"):
            command = [sys.executable, __file__, "--memory-of", who, "--tokens", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[who] = json.loads(done.stdout.splitlines()[-1])
            print(f"{who}: {found[who][0]:.0f} MiB for {images} images", file=sys.stderr)
    return {
        "memory_images": images,
        "memory_mib": found["ours"][0],
        "memory_ratio": found["ours"][0] / found["theirs"][0],
        "large_set_speedup": found["theirs"][1] / found["ours"][1],
    }


def claims(figures: dict[str, float]) -> list[dict[str, str]]:
    """Judge what the documentation says of speed and equality by this run's figures."""
    bars = (
        ("scores equal pycocoevalcap's", "max_abs_diff", 1e-9, False),
        ("METEOR equals its jar's", "meteor_max_abs_diff", 1e-9, False),
        ("raw captions to scores at least 10 times as fast", "pipeline_speedup", 10, True),
        ("the same for ten images: 100 times", "pipeline_speedup_10_images", 100, True),
        ("CIDEr alone at least 10 times as fast", "cider_speedup", 10, True),
        ("METEOR at least 3 times as fast, table cached", "meteor_speedup", 3, True),
        ("1,000 paired bootstraps within 2 seconds", "bootstrap_seconds", 2, False),
        ("at most half the memory", "memory_ratio", 0.5, False),
        ("tokens equal on 99.99% of captions", "same_tokens_share", 0.9999, True),
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
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="300 images; no METEOR, no memory")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "metrics_benchmark.json")
    parser.add_argument("--memory-of", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        measure_memory(options.memory_of, options.tokens)
        return
    start, repeats = time.perf_counter(), 1 if options.quick else 3
    images = 300 if options.quick else options.images
    figures = compare_pipelines(images, repeats) | time_bootstrap(images, repeats)
    if not options.quick:
        figures |= compare_meteor(images) | compare_memory(MEMORY_IMAGES)
        record = {
            "experiment": "metrics_benchmark",
            "command": "python benchmarks/metrics.py",
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
