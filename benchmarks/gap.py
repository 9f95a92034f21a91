"""Time and weigh the streaming gap histogram against the same sums on whole float64 arrays.

    python benchmarks/gap.py            # about a minute; writes results/gap_benchmark.json
    python benchmarks/gap.py --quick    # 500 pairs; writes nothing

Both read one file of text and patch features (default 5,000 pairs x 49 patches x 512 dimensions,
float32) and return the histogram, four moments and the per-dimension means of text minus patch.
Each runs in a process of its own on one core; times are CPU seconds of the work, reading included,
least of three runs in turn; memory is that process's peak resident size, Python and torch included.
The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "results" / "gap_benchmark.json"
SYSTEMS = ("streaming", "whole_array")
PAIRS_AT_ONCE = 64
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def write_features(path: Path, pairs: int, patches: int, dim: int) -> None:
    """Write seeded unit vectors, for each pair its text and then its patches, float32."""
    import numpy as np

    rng = np.random.default_rng(0)
    with path.open("wb") as stream:
        for _ in range(pairs):
            block = rng.standard_normal((1 + patches, dim), dtype=np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            stream.write(block.tobytes())


def streaming(path: Path, pairs: int, patches: int, dim: int) -> dict:
    """Run vizer_core's histogram over the file in batches."""
    import numpy as np
    import torch

    from vizer_core.gap.histogram import GapHistogram

    start = time.process_time()
    histogram = GapHistogram(dim)
    with path.open("rb") as stream:
        for _ in range(0, pairs, PAIRS_AT_ONCE):
            flat = np.fromfile(stream, np.float32, PAIRS_AT_ONCE * (1 + patches) * dim)
            block = torch.from_numpy(flat.reshape(-1, 1 + patches, dim))
            histogram.update(block[:, 1:], block[:, 0])
    moments = histogram.moments
    return {
        "seconds": time.process_time() - start,
        "counts": histogram.counts.tolist(),
        "moments": [moments.mean, moments.std, moments.skewness, moments.excess_kurtosis],
        "dimension_means": histogram.dimension_means.tolist(),
    }


def whole_array(path: Path, pairs: int, patches: int, dim: int) -> dict:
    """Do the same with numpy on one float64 array of every entry."""
    import numpy as np

    from vizer_core.gap.histogram import BIN_WIDTH, LIMIT

    start = time.process_time()
    features = np.fromfile(path, np.float32).reshape(pairs, 1 + patches, dim)
    gap = (features[:, :1] - features[:, 1:]).astype(np.float64)
    counts, _ = np.histogram(gap, bins=int(2 * LIMIT / BIN_WIDTH), range=(-LIMIT, LIMIT))
    mean, std = gap.mean(), gap.std()
    dimension_means = gap.mean(axis=(0, 1))
    centred = (gap - mean) / std
    cubed = centred * centred * centred
    skewness, kurtosis = cubed.mean(), (cubed * centred).mean() - 3
    return {
        "seconds": time.process_time() - start,
        "counts": counts.tolist(),
        "moments": [float(mean), float(std), float(skewness), float(kurtosis)],
        "dimension_means": dimension_means.tolist(),
    }


def measured(system: str, path: Path, sizes: list[int]) -> dict:
    """Run one system in a process of its own and read back what it found."""
    command = [sys.executable, __file__, "--run", system, "--file", str(path)]
    command += [f"--{name}={size}" for name, size in zip(("pairs", "patches", "dim"), sizes)]
    done = subprocess.run(
        command, env=os.environ | ONE_CORE, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{system}: {found['seconds']:.2f} s, {found['peak_mib']:.0f} MiB", file=sys.stderr)
    return found


def best(runs: list[dict]) -> dict:
    """Take the least CPU time of several runs, and the largest memory."""
    fastest = min(runs, key=lambda run: run["seconds"])
    return fastest | {"peak_mib": max(run["peak_mib"] for run in runs)}


def compare(sizes: list[int], repeats: int) -> dict:
    """Measure both in turn on the same file and check that they agree."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.f32"
        write_features(path, *sizes)
        runs = [[measured(s, path, sizes) for s in SYSTEMS] for _ in range(repeats)]
    ours, naive = (best(list(of_one)) for of_one in zip(*runs))
    pairs = zip(
        ours["moments"] + ours["dimension_means"], naive["moments"] + naive["dimension_means"]
    )
    return {
        "pairs": sizes[0],
        "patches": sizes[1],
        "dim": sizes[2],
        "histogram_speedup": naive["seconds"] / ours["seconds"],
        "streaming_seconds": ours["seconds"],
        "naive_seconds": naive["seconds"],
        "peak_mib": ours["peak_mib"],
        "naive_peak_mib": naive["peak_mib"],
        "counts_equal": ours["counts"] == naive["counts"],
        "max_abs_diff": max(abs(a - b) for a, b in pairs),
    }


def arguments() -> argparse.Namespace:
    """Read the command line; --run and --file are for the processes this one starts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--patches", type=int, default=49)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="500 pairs, no result file")
    parser.add_argument("--run", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run one system, or compare both and write the result."""
    given = arguments()
    sizes = [500 if given.quick else given.pairs, given.patches, given.dim]
    if given.run:
        run = {"streaming": streaming, "whole_array": whole_array}[given.run]
        found = run(given.file, given.pairs, given.patches, given.dim)
        found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found))
        return
    from vizer_core.files import write_json
    from vizer_core.runtime import git_commit, hardware

    start = time.perf_counter()
    figures = compare(sizes, repeats=1 if given.quick else 3)
    if not given.quick:
        record = {
            "experiment": "gap_benchmark",
            "command": "python benchmarks/gap.py",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.perf_counter() - start, 1),
            "figures": figures,
        }
        write_json(RESULT, record)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
