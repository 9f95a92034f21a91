"""`vizer caption` keeps what it has written: a stop, a bad image or a full disk costs little."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
import torch

from tests.cli.kills import finished, killed
from vizer_core.cli import caption_lines
from vizer_core.cli.caption_lines import KeptLines, Printer, Progress, generate_in_batches, lines_of
from vizer_core.files import lock
from vizer_core.runtime import seeded

FIVE = ["--batch-size", 5]
CLIPRE = ["--method", "clipre", "--memory", 50]  # 20,000 by itself: a minute of encoding
WAYS = {
    "sampled": ["--method", "maccap_pass"],
    "memory": CLIPRE,
    "vlm": ["--model", "{smolvlm}"],
}


@pytest.fixture(params=list(WAYS))
def words(request, disk):
    """Return a command line that captions the images of `disk`, five at a time."""
    return [
        "caption",
        disk.images,
        *(str(w).format(smolvlm=disk.smolvlm) for w in WAYS[request.param]),
        *FIVE,
    ]


def test_a_stopped_command_goes_on_to_the_same_captions(words, vizer, tmp_path, kill_after):
    whole = finished(vizer, *words, "--json", tmp_path / "whole.json")
    kill_after(KeptLines, "add", 2)
    out = tmp_path / "cut.json"
    killed(vizer, *words, "--json", out)
    rows = [json.loads(line) for line in (tmp_path / "cut.jsonl").read_text().splitlines()]
    assert rows == json.loads((tmp_path / "whole.json").read_text())[:10] and not out.exists()
    with (tmp_path / "cut.jsonl").open("a") as stream:
        stream.write('{"image_id": "half a li')  # what a kill in the middle of a line leaves
    done = finished(vizer, *words, "--json", out)
    assert f"going on with {tmp_path / 'cut.jsonl'}: 10 of 24 images" in done.stderr
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert done.stdout == whole.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.json", "whole.json"]


def test_batches_are_those_of_one_call(disk, vizer, tmp_path):
    """The captions are what `caption_images` gives for all images at once."""
    from vizer_core.captioners import caption_images
    from vizer_core.captioners.registry import Parts, captioner_of
    from vizer_core.cli.encoders import clip_encoder
    from vizer_core.cli.models import language_model_of, read_images

    folder = tmp_path / "many"
    folder.mkdir()
    for copy in range(3):  # 72 images: more than a batch
        for path in disk.images.iterdir():
            shutil.copy(path, folder / f"{copy} {path.name}")
    done = finished(vizer, "caption", folder, "--method", "maccap_pass")
    encoder, lm = clip_encoder("drawn", None, "cpu", False), language_model_of("drawn-lm", "cpu")
    captioner = captioner_of("maccap_pass", encoder, lm, Parts(small=True))
    names, images = read_images(folder)
    texts = caption_images(captioner, encoder, images, generator=seeded(0))
    assert done.stdout.splitlines() == [f"{n}\t{t}" for n, t in zip(names, texts)]


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (["--seed", 1], "seed: 0 then, 1 now"),
        (["--temperature", "0.5"], "temperature: None then, 0.5 now"),
        (["--max-tokens", 7], "max_tokens: None then, 7 now"),
        (["--batch-size", 6], "at_once: 5 then, 6 now"),
        (["--method", "baseline"], "method: 'maccap_pass' then, 'baseline' now"),
        (["{images}/photo 00.jpg"], "images: "),
    ],
)
def test_another_job_does_not_go_on(change, differs, disk, vizer, tmp_path, kill_after):
    out = tmp_path / "said.json"
    words = ["--method", "maccap_pass", *FIVE, "--json", out]
    kill_after(KeptLines, "add", 1)
    killed(vizer, "caption", disk.images, *words)
    kept = (tmp_path / "said.jsonl").read_bytes()
    change = [str(word).format(images=disk.images) for word in change]
    there = [] if change[0].endswith(".jpg") else [disk.images]
    other = vizer("caption", *there, *words, *change)
    assert other.exit_code == 1 and f"said.jsonl belongs to another run ({differs}" in other.stderr
    assert (tmp_path / "said.jsonl").read_bytes() == kept and other.stdout == ""


def test_somebodys_json_lines_are_left_alone(disk, vizer, tmp_path):
    (tmp_path / "said.jsonl").write_text('{"mine": 1}\n')
    done = vizer("caption", disk.images, *CLIPRE, "--json", tmp_path / "said.json")
    assert done.exit_code == 1 and "said.jsonl is there already, and this command" in done.stderr
    assert (tmp_path / "said.jsonl").read_text() == '{"mine": 1}\n'
    (tmp_path / "said.jsonl.job.json").write_text("{}")  # and what lies beside them
    done = vizer("caption", disk.images, *CLIPRE, "--json", tmp_path / "said.json")
    assert done.exit_code == 1 and "said.jsonl.job.json is there already, and this" in done.stderr
    assert (tmp_path / "said.jsonl.job.json").read_text() == "{}"


def test_two_commands_do_not_write_one_file(disk, vizer, tmp_path, kill_after):
    words = ["caption", disk.images, *CLIPRE, *FIVE, "--json"]
    words.append(tmp_path / "said.json")
    kill_after(KeptLines, "add", 1)
    killed(vizer, *words)
    with (tmp_path / "said.jsonl").open("r+b") as stream:
        assert lock(stream.fileno())
        other = vizer(*words)
    assert other.exit_code == 1 and "another vizer caption writes to" in other.stderr
    finished(vizer, *words)


def strip(folder):
    """Write an image that Qwen2-VL's processor refuses: 201 times as wide as it is high."""
    from PIL import Image

    Image.new("RGB", (402, 2)).save(folder / "photo 07 strip.png")
    return "photo 07 strip.png"


def test_an_image_that_the_processor_refuses_costs_one_line(disk, vizer, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(disk.images, folder)
    words = ["--model", disk.qwen, *FIVE, "--json"]
    whole = finished(vizer, "caption", folder, *words, tmp_path / "whole.json")
    name = strip(folder)
    done = finished(vizer, "caption", folder, *words, tmp_path / "said.json")
    said = [line for line in done.stderr.splitlines() if "left out" in line]
    assert len(said) == 1 and said[0].startswith(f"left out {name}: ") and "ratio" in said[0]
    assert done.stdout == whole.stdout
    alone = vizer("caption", folder / name, "--model", disk.qwen)
    assert alone.exit_code == 1 and f"error: {name}: " in alone.stderr


def test_a_model_that_takes_no_image_ends_the_command(disk, vizer, monkeypatch):
    def broken(*arguments, **options):
        raise ValueError("no such layer")

    monkeypatch.setattr("vizer_core.captioners.caption_images", broken)
    done = vizer("caption", disk.images, *CLIPRE)
    assert done.exit_code == 1 and done.stdout == ""
    assert "error: none of 24 images can be captioned: photo 00.jpg: no such layer" in done.stderr


def test_what_is_left_out_changes_no_draw_of_the_others():
    names, generator = ["a", "bad", "b", "c"], seeded(3)

    def generate(indices):
        if "bad" in [names[i] for i in indices]:
            raise ValueError("too narrow")
        return [f"{names[i]} {torch.rand((), generator=generator):.6f}" for i in indices]

    printer = Printer(goes_on=False)
    found = generate_in_batches(names, generate, generator, batch_size=3, printer=printer)
    again = seeded(3)
    assert found == {n: f"{n} {torch.rand((), generator=again):.6f}" for n in ("a", "b", "c")}


def test_no_memory_is_no_fault_of_an_image():
    def generate(indices):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        generate_in_batches(
            ["a"], generate, seeded(0), batch_size=1, printer=Printer(goes_on=False)
        )


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_costs_no_line_on_the_screen(words, vizer, tmp_path, monkeypatch):
    whole = finished(vizer, *words)
    monkeypatch.setattr(caption_lines.KeptLines, "_write_record", full_disk)
    done = finished(vizer, *words, "--json", tmp_path / "said.json")
    warnings = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert len(warnings) == 1 and "No space left on device" in warnings[0]
    assert done.stdout == whole.stdout
    monkeypatch.setattr("vizer_core.files._as_json", full_disk)
    last = vizer(*words, "--json", tmp_path / "other.json")
    assert last.exit_code == 1 and last.stdout == whole.stdout
    assert last.stderr.splitlines()[-1].startswith("error: ") and "No space" in last.stderr


def test_captions_of_a_command_without_room_for_its_file_are_kept(
    disk, vizer, tmp_path, monkeypatch
):
    words = ["caption", disk.images, *CLIPRE, "--json", tmp_path / "said.json"]
    monkeypatch.setattr("vizer_core.data.coco.write_results", full_disk)
    done = vizer(*words)
    assert done.exit_code == 1 and "make room and call the same command again" in done.stderr
    monkeypatch.undo()
    monkeypatch.setattr("vizer_core.captioners.caption_images", None)  # nothing is left to write
    assert "24 of 24 images" in finished(vizer, *words).stderr


def test_several_images_and_folders(disk, vizer, tmp_path):
    (tmp_path / "more").mkdir()
    shutil.copy(disk.images / "photo 02.jpg", tmp_path / "more" / "z.jpg")
    one, two = disk.images / "photo 00.jpg", disk.images / "photo 01.jpg"
    done = finished(vizer, "caption", two, one, two, tmp_path / "more", *CLIPRE)
    named = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert named == ["photo 01.jpg", "photo 00.jpg", "z.jpg"]
    shutil.copy(two, tmp_path / "photo 00.jpg")
    other = vizer("caption", one, tmp_path / "photo 00.jpg", *CLIPRE)
    assert other.exit_code == 1 and "would both be called photo 00.jpg" in other.stderr


def test_every_file_has_lines_of_its_own(tmp_path):
    names = ("said.json", "a.v1", "a.v2", "a")
    files = {file for name in names for file in lines_of(tmp_path / name)}
    assert len(files) == 2 * len(names)


def test_two_commands_that_start_at_once_do_not_write_one_file(tmp_path):
    out, names = tmp_path / "said.json", ["a.png"]
    first, second = KeptLines(out), KeptLines(out)
    first.begin(names, {}, seeded(0))
    first.add(names, Progress(1, {0: "a cat"}), [0], seeded(0))
    with pytest.raises(ValueError, match="another vizer caption writes to"):
        second._open(0)  # it had looked before the file was there
    assert (tmp_path / "said.jsonl").read_text() == '{"image_id": "a.png", "caption": "a cat"}\n'
    first.close()
