"""Simulate a large job on synthetic shards: read, encode, store, sum up, merge, thin a memory.

    python -m benchmarks.scale          # under a minute; the last line of stdout is one JSON object

Three parts, each small enough for one core:

1  tar shards of drawn images with captions are streamed, encoded by the drawn CLIP, and written
   as a feature store; one shard lacks images, as shards from the web do
2  many synthetic pairs are summed up shard by shard into gap histograms, and merged; the merged
   histogram is compared with that of all pairs at once
3  a memory of captions is thinned: how near is the best caption of a thinned memory to an image,
   compared with the best of the full one
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import time
from functools import reduce
from pathlib import Path

import torch
from PIL import Image

from vizer_core.data import decode_image
from vizer_core.data.cc3m import StreamCounts, stream_tars
from vizer_core.files import load_tensors, save_tensors, write_json
from vizer_core.gap import GapHistogram
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world import DrawnSplit, drawn_corpus
from vizer_lab.zoo import load_drawn_clip

RESULT = Path(__file__).resolve().parents[1] / "results" / "scale_benchmark.json"
GONE = 7  # every 7th image of the last shard is gone from the web
BATCH = 64


def write_shards(folder: Path, shards: int, size: int) -> list[Path]:
    """Write tar files as img2dataset does: a JPEG and its caption a sample."""
    data, paths = DrawnSplit("second_test", shards * size), []
    for shard in range(shards):
        path = folder / f"{shard:05d}.tar"
        with tarfile.open(path, "w") as tar:
            for index in range(shard * size, (shard + 1) * size):
                image = io.BytesIO()
                Image.fromarray(data.images[index]).save(image, "jpeg", quality=95)
                members = [("txt", data.captions[index][0].encode())]
                if shard < shards - 1 or index % GONE:
                    members.insert(0, ("jpg", image.getvalue()))
                for suffix, content in members:
                    info = tarfile.TarInfo(f"{index:09d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        paths.append(path)
    return paths


def extract(paths: list[Path], folder: Path) -> dict[str, float]:
    """Stream the shards, encode them, write a feature store; time reading and encoding apart."""
    encoder, reading, encoding, kept = load_drawn_clip("drawn-clip-50", "cpu"), 0.0, 0.0, 0
    counts = StreamCounts()
    for path in paths:
        began = time.process_time()
        samples = list(stream_tars([path], counts=counts))
        images = [encoder.preprocess(decode_image(s.image, s.id)) for s in samples]
        reading += time.process_time() - began
        began = time.process_time()
        tensors = {
            "image_features": encoder.encode_image(torch.stack(images), batch_size=BATCH),
            "text_features": encoder.encode_text([sample.caption for sample in samples]),
        }
        encoding += time.process_time() - began
        save_tensors(folder / f"{path.stem}.safetensors", tensors, {"counted": vars(counts).copy()})
        kept += len(samples)
    return {
        "shards": len(paths),
        "pairs_encoded": kept,
        "pictures_missing": counts.missing,
        "read_images_per_second": round(kept / reading),
        "encode_images_per_second": round(kept / encoding),
    }


def stored_gap(folder: Path) -> dict[str, float]:
    """Sum up the feature store shard by shard, and all at once: the same histogram."""
    parts = [load_tensors(path)[0] for path in sorted(folder.glob("*.safetensors"))]
    dim = parts[0]["image_features"].shape[1]
    merged, whole = GapHistogram(dim), GapHistogram(dim)
    for part in parts:
        one = GapHistogram(dim)
        one.update(part["image_features"], part["text_features"])
        merged = merged.merge(one)
    whole.update(
        *(torch.cat([part[key] for part in parts]) for key in ("image_features", "text_features"))
    )
    return {"store_merge_exact": float(merged.counts.equal(whole.counts))}


def summed_up(shards: int, size: int, dim: int) -> dict[str, float]:
    """Sum up synthetic shards and merge them; compare with one histogram over everything."""
    histograms, whole, seconds = [], GapHistogram(dim), 0.0
    for shard in range(shards):
        noise = torch.randn(2, size, dim, generator=seeded(shard))
        images, texts = unit_norm(noise + torch.tensor([[[0.0]], [[0.3]]]))
        began = time.process_time()
        one = GapHistogram(dim)
        one.update(images, texts)
        seconds += time.process_time() - began
        histograms.append(one)
        whole.update(images, texts)
    began = time.process_time()
    merged = reduce(GapHistogram.merge, histograms)
    merging = time.process_time() - began
    state = sum(part.nbytes for part in merged.to_tensors().values())
    features = 2 * shards * size * dim * 2
    return {
        "pairs_summed": shards * size,
        "pairs_per_second": round(shards * size / seconds),
        "merge_seconds_a_shard": merging / shards,
        "merge_exact": float(merged.counts.equal(whole.counts)),
        "merge_moments_diff": abs(merged.moments.mean - whole.moments.mean),
        "state_megabytes": state / 1e6,
        "features_over_state": round(features / state),
    }


def thinned_memory(captions: int, images: int) -> dict[str, float]:
    """Compare the best caption of a random part of a memory with the best of the whole one."""
    encoder = load_drawn_clip("drawn-clip-50", "cpu")
    memory = encoder.encode_text(list(drawn_corpus("home", captions).captions))
    queries = encoder.encode_image(
        [Image.fromarray(pixels) for pixels in DrawnSplit("second_validation", images).images]
    )
    found: dict[str, float] = {"memory": len(memory)}
    order = torch.randperm(len(memory), generator=seeded(0))
    for part in (1, 10, 100):
        some = memory[order[: max(1, len(memory) // part)]]
        name = "memory_best_cosine" if part == 1 else f"memory_best_cosine_1_in_{part}"
        found[name] = float((queries @ some.T).max(dim=1).values.mean())
    return found


def main() -> None:
    """Run the three parts and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of it, no result file")
    quick = parser.parse_args().quick
    began, part = time.perf_counter(), 10 if quick else 1
    with tempfile.TemporaryDirectory() as scratch:
        raw, store = Path(scratch) / "raw", Path(scratch) / "store"
        raw.mkdir()
        paths = write_shards(raw, 4, 300 // part)
        print("shards written", file=sys.stderr)
        figures = extract(paths, store) | stored_gap(store)
    print("features stored", file=sys.stderr)
    figures |= summed_up(100 // part, 4000, 128)
    print("shards summed up", file=sys.stderr)
    figures |= thinned_memory(10_000 // part, 200 // part)
    if not quick:
        record = {
            "experiment": "scale_benchmark",
            "command": "python -m benchmarks.scale",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.perf_counter() - began, 1),
            "figures": figures,
        }
        write_json(RESULT, record)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
