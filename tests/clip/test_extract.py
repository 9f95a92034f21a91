"""The embedding job on real folders: kept, skipped, killed, resumed, shared out."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import config_with, tiny_encoder

from vizer_core.clip import (
    ExtractConfig,
    encode_records,
    load_features,
    load_regions,
    regions_paper,
)
from vizer_core.data import Record, open_image, read_folder

SMALL = ExtractConfig(shard_size=4, batch_size=3, threads=2)
CAPTIONS = ["w1 w2", "w3 w4 w5", "w1 w2"]


def make_folder(root: Path, count: int = 10) -> Path:
    """Draw `count` random images; every third file is broken in its own way."""
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 36, 36, 3), dtype=np.uint8)
    for index, frame in enumerate(pixels):
        path = root / f"{index:02d}.png"
        Image.fromarray(frame).save(path)
        if index % 3 == 2:
            path.write_bytes(path.read_bytes()[: 100 * (index // 3)])
    return root


def captioned(root: Path) -> list[Record]:
    """Give record i of the folder i % 4 captions."""
    return [
        Record(record.id, record.image, tuple(CAPTIONS[: index % 4]))
        for index, record in enumerate(read_folder(root))
    ]


@pytest.fixture
def records(tmp_path):
    return captioned(make_folder(tmp_path / "images"))


def test_features_come_out_in_record_order_and_equal_the_encoder(records, tmp_path):
    encoder = tiny_encoder()
    report = encode_records(records, encoder, out_dir=tmp_path / "out", config=SMALL)
    kept = [record for index, record in enumerate(records) if index % 3 != 2]
    features = load_features(tmp_path / "out")
    assert features.ids == tuple(record.id for record in kept)
    wanted = encoder.encode_image([open_image(record.image) for record in kept])
    assert (features.image_features - wanted).abs().max() < 1e-5
    texts = [text for record in kept for text in record.captions]
    assert (features.text_features - encoder.encode_text(texts)).abs().max() < 1e-5
    rows = [row for row, record in enumerate(kept) for _ in record.captions]
    assert features.image_index.tolist() == rows
    assert (report.images, report.texts) == (len(kept), len(texts))
    assert (report.computed_shards, report.reused_shards) == (3, 0)


def test_skipped_images_are_counted_named_and_logged(records, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        report = encode_records(records, tiny_encoder(), out_dir=tmp_path / "out", config=SMALL)
    assert [skipped.id for skipped in report.skipped] == ["02.png", "05.png", "08.png"]
    assert report.skipped[0].reason == "the file is empty"
    assert "skipped 05.png" in caplog.text
    manifest = json.loads((tmp_path / "out" / "shard-00000.safetensors.json").read_text())
    assert manifest["ids"] == ["00.png", "01.png", "03.png"]
    assert manifest["skipped"][0]["path"].endswith("images/02.png")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert len(summary["skipped"]) == 3 and summary["images"] == 7


def test_region_features_lie_beside_the_images(records, tmp_path):
    encoder, config = tiny_encoder(), ExtractConfig(shard_size=4, regions=3)
    encode_records(records, encoder, out_dir=tmp_path / "out", config=config)
    kept = [open_image(record.image) for index, record in enumerate(records) if index % 3 != 2]
    wanted = regions_paper(encoder.image_states(kept), 3)
    assert (load_regions(tmp_path / "out") - wanted).abs().max() < 1e-5
    encode_records(records, encoder, out_dir=tmp_path / "plain", config=SMALL)
    with pytest.raises(ValueError, match="has no sub-regions"):
        load_regions(tmp_path / "plain")


def test_a_finished_job_is_not_computed_again(records, tmp_path):
    encode_records(records, tiny_encoder(), out_dir=tmp_path / "out", config=SMALL)
    files = sorted((tmp_path / "out").glob("shard-*"))
    times = [path.stat().st_mtime_ns for path in files]
    encoder = tiny_encoder()

    def must_not_run(*_: object, **__: object) -> None:
        raise AssertionError("a finished shard was computed again")

    encoder.encode_image = encoder.encode_text = must_not_run
    report = encode_records(records, encoder, out_dir=tmp_path / "out", config=SMALL)
    assert (report.computed_shards, report.reused_shards) == (0, 3)
    assert [path.stat().st_mtime_ns for path in files] == times
    assert report.images == 7


class Killed(Exception):
    pass


def test_a_killed_job_goes_on_where_it_stopped(records, tmp_path):
    encoder, seen = tiny_encoder(), []
    encode = encoder.encode_image

    def dies_in_the_second_shard(pixels, **settings):
        if len(seen) == 2:
            raise Killed
        seen.append(len(pixels))
        return encode(pixels, **settings)

    encoder.encode_image = dies_in_the_second_shard
    with pytest.raises(Killed):
        encode_records(records, encoder, out_dir=tmp_path / "out", config=SMALL)
    with pytest.raises(FileNotFoundError, match="lacks 1 of 3 shards, first shard-00002"):
        load_features(tmp_path / "out")
    report = encode_records(records, tiny_encoder(), out_dir=tmp_path / "out", config=SMALL)
    assert (report.computed_shards, report.reused_shards) == (1, 2)
    encode_records(records, tiny_encoder(), out_dir=tmp_path / "whole", config=SMALL)
    assert_same_features(tmp_path / "out", tmp_path / "whole")


def assert_same_features(one: Path, other: Path, *, atol: float = 0.0) -> None:
    a, b = load_features(one), load_features(other)
    assert a.ids == b.ids
    torch.testing.assert_close(a.image_features, b.image_features, atol=atol, rtol=0)
    torch.testing.assert_close(a.text_features, b.text_features, atol=atol, rtol=0)
    assert a.image_index.equal(b.image_index)


def test_a_damaged_shard_is_made_again_and_never_loaded(records, tmp_path, caplog):
    encode_records(records, tiny_encoder(), out_dir=tmp_path / "out", config=SMALL)
    path = tmp_path / "out" / "shard-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not fit its manifest"):
        load_features(tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        report = encode_records(records, tiny_encoder(), out_dir=tmp_path / "out", config=SMALL)
    assert report.computed_shards == 1 and "made again" in caplog.text
    assert len(load_features(tmp_path / "out").ids) == 7


def test_a_folder_belongs_to_one_job(records, tmp_path):
    out = tmp_path / "out"
    encode_records(records, tiny_encoder(), out_dir=out, config=SMALL)
    with pytest.raises(ValueError, match=r"belongs to another job: model was 'tiny-0'.*'tiny-1'"):
        encode_records(records, tiny_encoder(seed=1), out_dir=out, config=SMALL)
    other_weights = tiny_encoder(seed=1)
    other_weights.name = "tiny-0"
    with pytest.raises(ValueError, match="another job: fingerprint was"):
        encode_records(records, other_weights, out_dir=out, config=SMALL)
    with pytest.raises(ValueError, match=r"another job: data was .*; records was 10, now 9"):
        encode_records(records[1:], tiny_encoder(), out_dir=out, config=SMALL)
    with pytest.raises(ValueError, match="shard_size was 4, now 5"):
        encode_records(records, tiny_encoder(), out_dir=out, config=ExtractConfig(shard_size=5))
    with pytest.raises(ValueError, match="regions was 0, now 2"):
        config = ExtractConfig(shard_size=4, regions=2)
        encode_records(records, tiny_encoder(), out_dir=out, config=config)
    faster = ExtractConfig(shard_size=4, batch_size=64, threads=1)
    assert encode_records(records, tiny_encoder(), out_dir=out, config=faster).reused_shards == 3
    (out / "job.json").unlink()
    with pytest.raises(ValueError, match="contains shards but no job"):
        encode_records(records, tiny_encoder(), out_dir=out, config=SMALL)
    with pytest.raises(FileNotFoundError, match="no folder of encode_records"):
        load_features(tmp_path / "nowhere")


def test_records_without_captions_or_without_one_good_image(tmp_path):
    root = make_folder(tmp_path / "images", 3)
    encoder = tiny_encoder()
    encode_records(read_folder(root), encoder, out_dir=tmp_path / "a", config=SMALL)
    features = load_features(tmp_path / "a")
    assert features.image_features.shape == (2, 16) and features.text_features.shape == (0, 16)
    for path in root.iterdir():
        path.write_bytes(b"")
    report = encode_records(read_folder(root), encoder, out_dir=tmp_path / "b", config=SMALL)
    assert report.images == 0 and len(report.skipped) == 3
    with pytest.raises(ValueError, match="not one image could be read"):
        load_features(tmp_path / "b")


def test_wrong_records_are_refused(records, tmp_path):
    def run(chosen):
        return encode_records(chosen, tiny_encoder(), out_dir=tmp_path / "out")

    with pytest.raises(ValueError, match="no records"):
        run([])
    with pytest.raises(ValueError, match="ids occur more than once"):
        run([records[0], records[0]])
    with pytest.raises(FileNotFoundError, match="image files are missing"):
        run([Record("gone", tmp_path / "gone.jpg", ())])
    with pytest.raises(ValueError, match="records have no image"):
        run([Record("text", None, ("w1",))])
    with pytest.raises(ValueError, match="wanted at least 1 of each"):
        ExtractConfig(batch_size=0)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_everyday_and_broken_files(tmp_path):
    """Two photographs nobody here took, and the files that break naive readers."""
    from sklearn.datasets import load_sample_images

    root = tmp_path / "everyday"
    root.mkdir()
    for photo in map(Path, load_sample_images().filenames):
        (root / photo.name).write_bytes(photo.read_bytes())
    noise = np.random.default_rng(0).integers(0, 65536, (48, 40), dtype=np.uint16)
    Image.fromarray(noise).save(root / "deep16.png")
    colour = Image.open(root / "china.jpg")
    colour.convert("CMYK").save(root / "print_cmyk.jpg")
    turned = [colour.resize((64, 48)).rotate(90 * turn) for turn in range(3)]
    turned[0].save(root / "spinning.gif", save_all=True, append_images=turned[1:])
    (root / "truncated.jpg").write_bytes((root / "flower.jpg").read_bytes()[:20_000])
    (root / "zero.jpg").write_bytes(b"")
    (root / "renamed.png").write_text("this is no image")
    encoder = tiny_encoder()
    report = encode_records(read_folder(root), encoder, out_dir=tmp_path / "out")
    assert {skipped.id for skipped in report.skipped} == {
        "renamed.png",
        "truncated.jpg",
        "zero.jpg",
    }
    features = load_features(tmp_path / "out")
    assert set(features.ids) == {
        "china.jpg", "deep16.png", "flower.jpg", "print_cmyk.jpg", "spinning.gif",
    }  # fmt: skip
    by_id = dict(zip(features.ids, features.image_features, strict=True))
    assert by_id["china.jpg"] @ by_id["print_cmyk.jpg"] > by_id["china.jpg"] @ by_id["flower.jpg"]


WORKER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_extract import SMALL, captioned
from tiny_clip import tiny_encoder
from accelerate import PartialState
from vizer_core.clip import encode_records

report = encode_records(
    captioned(Path({images!r})), tiny_encoder(), out_dir=Path({out!r}), config=SMALL
)
state = PartialState()
assert state.num_processes == 2 and state.backend == "gloo"
Path({out!r}, f"rank{{state.process_index}}.txt").write_text(str(report.computed_shards))
state.destroy_process_group()
"""


def test_two_gloo_processes_make_what_one_makes(records, tmp_path):
    images, out = str(tmp_path / "images"), str(tmp_path / "two")
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(tests=str(Path(__file__).parent), images=images, out=out))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launch, "--nproc_per_node", "2", str(worker)],
        env=environment, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    shares = [(tmp_path / "two" / f"rank{rank}.txt").read_text() for rank in (0, 1)]
    assert shares == ["2", "1"]
    encode_records(records, tiny_encoder(), out_dir=tmp_path / "one", config=SMALL)
    # the processes run on fewer threads each, and sums of another order round apart
    assert_same_features(tmp_path / "two", tmp_path / "one", atol=1e-6)
    one, two = ((tmp_path / name / "summary.json").read_text() for name in ("one", "two"))
    assert one == two


def test_a_patch_pooled_tower_is_extracted_too(records, tmp_path):
    encoder = tiny_encoder(config_with(vision={"pool_type": "avg"}))
    config = ExtractConfig(shard_size=4, regions=2)
    report = encode_records(records, encoder, out_dir=tmp_path / "out", config=config)
    assert report.images == 7 and load_regions(tmp_path / "out").shape == (7, 2, 16)
    assert torch.isfinite(load_regions(tmp_path / "out")).all()
