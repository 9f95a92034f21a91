"""`vizer improve` and the views of `vizer caption`, as a user types them."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path

import pytest
from PIL import Image

from vizer_core.cli import improve as command
from vizer_core.improvement.job import TRAIN
from vizer_core.improvement.outcome import REPORT
from vizer_core.improvement.training import MAX_KL
from vizer_lab.world.data import DrawnSplit


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder of drawn images, and one file that is none."""
    folder = tmp_path_factory.mktemp("drawn")
    for row, pixels in enumerate(DrawnSplit("second_test", 24).images):
        Image.fromarray(pixels).save(folder / f"{row:02d}.png")
    (folder / "broken.png").write_bytes(b"<html>404</html>")
    return folder


def written(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_a_folder_is_looked_at_and_a_report_is_written(vizer, drawn, tmp_path):
    out = tmp_path / "better"
    result = vizer(*f"improve {drawn} --model drawn-vlm-web --out {out} --views 1".split())
    assert result.exit_code == 0, result.output
    assert "skipped 1 of 25 files" in result.output
    assert "first word 'a'" in result.output and "nothing is trained" in result.output
    assert f"wrote {out}" in result.output
    assert written(out) == ["report.html", "report.json"]
    assert "broken.png" in json.loads((out / "report.json").read_text())["images"]["skipped"][0]
    again = vizer(*f"improve {drawn} --model drawn-vlm-web --out {out} --views 1".split())
    assert again.exit_code == 2 and "contains a report already" in again.output


def test_a_miniature_with_random_weights_is_refused_in_one_line(vizer, disk, tmp_path):
    for model in (disk.smolvlm, disk.qwen):
        out = tmp_path / "better"
        result = vizer(*f"improve {disk.images} --model {model} --train always --out {out}".split())
        assert result.exit_code == 1 and written(out) == []
        lines = [line for line in result.output.splitlines() if "random weights" in line]
        assert len(lines) == 1 and lines[0].startswith("error: ")


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("nowhere --out better", 1, "no image and no folder of images at nowhere"),
        ("few --out better", 1, "1 images are too few"),
        ("bad --out better", 1, "none of the 1 files under bad is a whole image"),
        ("few --out better --train perhaps", 2, "choose from auto, always, never"),
        ("few --out better --views 6", 2, "Input should be less than or equal to 5"),
        ("few --out few/better", 2, "which this command reads"),
        ("few --out file", 2, "file is a file: wanted a folder"),
        ("few --out better --max-kl 0", 2, "train nothing: --train never"),
        ("few", 2, "Missing option '--out'"),
    ],
)
def test_wrong_inputs_are_one_line_and_write_nothing(
    vizer, tmp_path, monkeypatch, line, status, said
):
    monkeypatch.chdir(tmp_path)
    for name in ("few", "bad"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "few" / "a.png")
    (tmp_path / "bad" / "a.png").write_bytes(b"x")
    (tmp_path / "file").write_text("x")
    before = written(tmp_path)
    result = vizer(*f"improve {line}".split())
    assert result.exit_code == status and said in " ".join(result.output.split())
    assert written(tmp_path) == before and written(tmp_path / "few") == ["a.png"]


def test_what_the_command_repeats_is_what_the_job_says():
    assert (command.TRAIN, command.REPORT) == (TRAIN, REPORT)
    assert signature(command.improve_command).parameters["max_kl"].default == MAX_KL


def test_captions_with_views_and_a_first_word(vizer, drawn):
    images = " ".join(str(drawn / f"{row:02d}.png") for row in range(6))
    asked = f"caption {images} --model drawn-vlm-web"
    plain, views = vizer(*asked.split()).stdout, vizer(*f"{asked} --views 5".split()).stdout
    assert plain != views and len(plain.splitlines()) == len(views.splitlines()) == 6
    assert vizer(*f"{asked} --views 1".split()).stdout == plain
    forced = vizer(*f"{asked} --first-word stock".split()).stdout.splitlines()
    assert all(line.split("\t")[1].startswith("stock") for line in forced)
    unknown = vizer(*f"{asked} --first-word xylophone".split())
    assert (
        unknown.exit_code == 1
        and "'xylophone' cannot be given or banned as a first word" in unknown.output
    )


def test_views_belong_to_a_vlm(vizer, drawn):
    for option in ("--views 5", "--first-word a"):
        result = vizer(*f"caption {drawn / '00.png'} --method clipre {option}".split())
        assert result.exit_code == 2
        assert f"{option.split()[0]} is not used by --method clipre" in result.output


def test_a_step_that_does_not_fit_is_refused_before_the_first_look(
    vizer, drawn, tmp_path, monkeypatch
):
    monkeypatch.setattr("vizer_core.hub_errors.free_bytes", lambda device: 1000)
    asked = f"improve {drawn} --model drawn-vlm-web --out {tmp_path / 'better'}"
    result = vizer(*asked.split())
    assert result.exit_code == 1 and "a step of 32 images with 1 captions" in result.output
    assert "first word" not in result.output and written(tmp_path / "better") == []
    assert vizer(*f"{asked} --train never --views 1".split()).exit_code == 0
