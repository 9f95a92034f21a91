"""`improve` on a trained drawn model and few images: what it writes, kill and go on, refusals."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import vizer_core as vc
from vizer_core.data.image_set import ImageSet
from vizer_core.decoding import Beam
from vizer_core.improvement import job as improve_job
from vizer_core.improvement import training
from vizer_core.improvement.bench import Bench
from vizer_core.improvement.card import card_of, write_card
from vizer_core.improvement.climb import QUESTIONS, best_of, decoders, first_look, is_clear, prompts
from vizer_core.improvement.gate import decide, require_trained, teacher_faults, unsound
from vizer_core.improvement.job import ImproveJob
from vizer_core.improvement.page import page_of
from vizer_core.improvement.ways import BASE, Way, with_beams
from vizer_core.vizer import GivenCaptions
from vizer_core.vizer.lora import has_lora
from vizer_lab.world.data import DrawnSplit
from vizer_lab.zoo.drawn_recipes import VLM_RECIPES
from vizer_lab.zoo.vlm_model import build_drawn_vlm
from vizer_lab.zoo.vlms import load_drawn_vlm, vlm_from_state

COUNT, NAME = 26, "drawn-vlm-web"
IMAGES = [Image.fromarray(pixels) for pixels in DrawnSplit("second_test", COUNT).images]
WEIGHTS = "adapter_model.safetensors"


def model():
    return load_drawn_vlm(NAME)


def photos(skipped: tuple[str, ...] = ()) -> ImageSet:
    names = tuple(f"<{row}>.png" for row in range(COUNT))
    return ImageSet(names, IMAGES, skipped=skipped)


@pytest.fixture(scope="module")
def bench():
    return Bench.of(model(), IMAGES, views=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that trains, from its beginning to its end, and the model with its adapter."""
    out, vlm = tmp_path_factory.mktemp("whole") / "better", model()
    lines: list[str] = []
    job = ImproveJob(vlm, photos(("broken.png: no image",)), train="always")
    done = job.run(out, tell=lambda line, err=False: lines.append(line))
    return job, done, lines


def test_the_ladder_is_climbed_on_images_that_nothing_was_chosen_on(whole):
    job, done, lines = whole
    assert len(job.held_out) == 8 and not set(job.held_out) & set(job.others)
    record = json.loads((done.folder / "report.json").read_text())
    assert record == json.loads(json.dumps(done.record))
    names = [rung["way"]["name"] for rung in record["ladder"]]
    assert names[0] == "as it is" and names[-2:] == ["adapter", "adapter, 5 views"]
    assert record["images"] == {
        "all": COUNT,
        "looked_at": 18,
        "held_out": 8,
        "trained_on": 18,
        "skipped": ["broken.png: no image"],
    }
    assert [said["image"] for said in record["captions"]] == [f"<{r}>.png" for r in job.held_out]
    assert any(line.startswith("step 1 of 4: loss") for line in lines)
    assert f"caption with: {done.command}" in lines[-1]


def test_the_adapter_is_carried_and_its_card_is_read_by_peft(whole):
    _, done, _ = whole
    assert done.trained and has_lora(whole[0].vlm)
    card = (done.folder / "README.md").read_text()
    head = card.split("---\n")[1]
    assert f"base_model: {NAME}\n" in head and "library_name: peft\n" in head
    assert f"--model {NAME} --adapter {done.folder}" in card
    from peft import LoraConfig

    assert LoraConfig.from_pretrained(done.folder).r == 32
    other = vc.load_vlm(NAME, adapter=str(done.folder))
    assert has_lora(other)


def test_a_readme_that_somebody_wrote_stays_beside_the_adapter(whole, tmp_path):
    (tmp_path / "README.md").write_text("my notes")
    done = replace(whole[1], folder=tmp_path)
    with pytest.warns(UserWarning, match=r"README\.md is not a card of ours and stays"):
        write_card(tmp_path, done)
    assert (tmp_path / "README.md").read_text() == "my notes"
    (tmp_path / "README.md").unlink()
    for _ in range(2):  # its own is written anew
        write_card(tmp_path, done)
    assert "# " + tmp_path.name in (tmp_path / "README.md").read_text()


def test_the_page_needs_no_network_and_says_names_as_they_are(whole):
    _, done, _ = whole
    page = (done.folder / "report.html").read_text()
    assert not re.findall(r"https?://|<script|<link|url\(|@import", page)
    assert page.count("data:image/jpeg;base64,") >= 8
    assert "prefers-color-scheme: dark" in page and 'name="viewport"' in page
    row = whole[0].held_out[0]
    assert f"&lt;{row}&gt;.png" in page and f"<{row}>.png" not in page
    assert "broken.png: no image" in page
    assert "Rule: the images, at most 6, whose score fell most" in page


def test_a_finished_run_is_read_again_and_another_is_refused(whole, tmp_path):
    _, done, _ = whole
    images = photos(("broken.png: no image",))
    again = vc.improve(model(), images, out=done.folder, train="always")
    assert again.record == json.loads(json.dumps(done.record))
    with pytest.raises(
        FileExistsError, match="of another run \\(train: 'always' then, 'never' now"
    ):
        vc.improve(model(), images, out=done.folder, train="never")
    with pytest.raises(ValueError, match="carries LoRA already"):
        vc.improve(whole[0].vlm, images, out=tmp_path / "new")


def test_a_run_that_is_killed_goes_on_to_the_same_weights(whole, tmp_path, monkeypatch):
    out, watch = tmp_path / "better", training.Watch.__call__

    def dies(self, run, step):
        if step == 3:
            raise RuntimeError("killed")
        watch(self, run, step)
        run.config.__dict__["save_every"] = 1

    monkeypatch.setattr(training.Watch, "__call__", dies)
    vlm = model()
    with pytest.raises(RuntimeError, match="killed"):
        ImproveJob(vlm, photos(), train="always").run(out)
    assert not has_lora(vlm) and (out / ".vizer-run" / "looked.json").is_file()
    monkeypatch.setattr(training.Watch, "__call__", watch)
    monkeypatch.setattr(
        improve_job, "first_look", None
    )  # what was looked at is not looked at again
    with pytest.raises(ValueError, match="belongs to another run \\(seed: 0 then, 1 now"):
        ImproveJob(model(), photos(), train="always", seed=1).run(out)
    done = ImproveJob(vlm, photos(), train="always").run(out)
    assert [sample["step"] for sample in done.record["training"]["samples"]] == [1, 2, 3, 4]
    assert not (out / ".vizer-run").exists()
    mine, theirs = (load_file(folder / WEIGHTS) for folder in (out, whole[1].folder))
    for name, weight in theirs.items():
        torch.testing.assert_close(mine[name], weight, msg=name)


def test_nothing_is_trained_unless_it_is_expected_to_add_something(tmp_path):
    out, vlm = tmp_path / "better", model()
    done = vc.improve(vlm, photos(), out=out, views=1)
    assert not done.trained and not has_lora(vlm)
    assert sorted(file.name for file in out.iterdir()) == ["report.html", "report.json"]
    assert "18 images to learn from, wanted at least 64" in done.table()
    assert not any("views" in rung["way"]["name"] for rung in done.record["ladder"])


def test_random_weights_are_refused_and_nothing_is_written(tmp_path):
    recipe = VLM_RECIPES[NAME].model
    vlm = vlm_from_state("random", recipe, build_drawn_vlm(recipe).state_dict())
    with pytest.raises(ValueError, match="captions as a model with random weights does: drawn cap"):
        vc.improve(vlm, photos(), out=tmp_path / "better", train="always")
    assert not (tmp_path / "better").exists()


def test_too_few_images_are_refused_with_numbers(tmp_path):
    few = ImageSet(photos().names[:23], IMAGES[:23], skipped=("a: b",))
    with pytest.raises(ValueError, match=r"23 images are too few \(1 files were no whole image\)"):
        vc.improve(model(), few, out=tmp_path / "better")
    with pytest.raises(ValueError, match="train is 'perhaps': wanted one of auto, always, never"):
        vc.improve(model(), photos(), out=tmp_path / "better", train="perhaps")


def test_an_adapter_that_collapses_is_stopped_and_not_kept(tmp_path, monkeypatch):
    count = COUNT - 8
    monkeypatch.setattr(
        improve_job, "trainer", lambda start: GivenCaptions([["a car and a car and a car"]] * count)
    )
    out, vlm = tmp_path / "better", model()
    job = ImproveJob(vlm, photos(), train="always", learning_rate=2e-2, max_kl=1e9)
    done = job.run(out)
    assert not done.trained and not has_lora(vlm) and not (out / WEIGHTS).exists()
    said = done.table()
    assert "training was stopped early: collapse after step" in said
    assert "repeated word pairs rose" in said and "the adapter is not kept" in said
    assert not done.recommended.adapter


def test_the_ceiling_on_kl_is_on_by_default(tmp_path):
    done = ImproveJob(model(), photos(), train="always", learning_rate=5e-3, max_kl=0.05).run(
        tmp_path / "better"
    )
    assert "KL" in done.record["training"]["stopped"] and done.trained
    assert training.config_for(model(), 1000).max_kl == training.MAX_KL < 10


def test_captions_that_would_be_a_collapse_are_not_learned(bench):
    habit = bench.rung(Way("first word 'my'", opening=("my",)))
    assert any("length" in fault for fault in teacher_faults(bench, habit))
    assert any("preferred" in fault for fault in teacher_faults(bench, habit))
    with pytest.raises(ValueError, match="would be a collapse"):
        decide("always", bench, habit, images=1000)
    trains, why = decide("auto", bench, habit, images=1000)
    assert not trains and "would be a collapse" in why


def test_what_is_decided_without_a_collapse(bench):
    good = bench.rung(Way("first word 'a'", opening=("a",)))
    assert unsound(good, bench.base) == ()
    assert decide("never", bench, good, images=1000)[0] is False
    assert decide("always", bench, good, images=1000)[0] is True
    assert decide("auto", bench, good, images=1000) == (
        True,
        "trained: its captions to learn from are clearly better than the model's own",
    )
    assert decide("auto", bench, bench.base, images=1000)[0] is False
    assert "63 images to learn from" in decide("auto", bench, good, images=63)[1]
    require_trained(bench, seed=0)  # a trained model passes


def test_a_first_word_is_found_without_a_label_and_the_cheaper_way_stays(bench):
    rungs, start = first_look(bench)
    assert start == Way("first word 'a'", opening=("a",))
    assert is_clear(next(rung for rung in rungs if rung.way == start).beside)
    again = bench.rung(Way("the same, dearer", opening=("a",), views=5))
    same = type(again)(**{**vars(rungs[1]), "way": again.way})
    assert best_of(bench, [same, rungs[1]]).way == rungs[1].way
    assert best_of(bench, [bench.base]).way == BASE


def test_views_on_top_of_a_way_are_asked_for_once():
    names = [way.name for way in decoders(BASE, 5)]
    assert names == ["beam 4", "5 views"]
    assert training.trainer(BASE).decoding == Beam(4, max_tokens=32) == with_beams(BASE).decoding
    assert training.trainer(Way("x", opening=("a",))).opening == ("a",)
    assert [way.views for way in decoders(Way("x", opening=("a",)), 5)] == [1, 5, 5]
    assert len(decoders(BASE, 1)) == 1


def test_the_bench_keeps_the_judges_views_apart(bench):
    assert len(bench.judge.views) == 4
    with pytest.raises(ValueError, match="views is 6: wanted 1 to 5"):
        Bench.of(bench.vlm, IMAGES[:2], views=6)
    with pytest.raises(ValueError, match="3 views, and the bench has 5"):
        bench.captions(Way("x", views=3))


def test_reports_are_known_by_their_job(tmp_path: Path):
    from vizer_core.improvement.outcome import job_kept_in

    assert job_kept_in(tmp_path) is None
    (tmp_path / "report.json").write_text('{"kind": "something else"}')
    assert job_kept_in(tmp_path) is None


def test_a_way_is_captioned_with_as_many_tokens_as_it_was_measured_with():
    assert (
        Way("a", opening=("a",), views=5).options() == " --first-word a --max-tokens 32 --views 5"
    )
    assert " --beams 4" in with_beams(BASE).options() and " --max-tokens 32" in BASE.options()


def test_a_given_prompt_is_asked_as_the_command_asks_it():
    said = prompts(Asked(instruct=True), ["Name it."])
    assert [way.prompt for way in said[:1]] == ["<Name it.>"] and len(said) == 1 + len(QUESTIONS)
    assert [way.prompt for way in prompts(Asked(instruct=False), ["Name it."])] == ["Name it."]


@dataclass
class Asked:
    """A model with a chat template, which only an instruct model is asked in."""

    instruct: bool
    default_prompt: str = "a default"
    processor: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(chat_template="t"))

    @property
    def is_instruct(self) -> bool:
        return self.instruct

    def chat_prompt(self, words: str) -> str:
        return f"<{words}>"

    def prompt_of(self, words: str) -> str:
        return self.chat_prompt(words) if self.instruct else words


def test_without_a_ceiling_on_kl_card_and_page_say_none(whole):
    record = json.loads(json.dumps(whole[1].record))
    record["training"]["config"] = replace(whole[0].config, max_kl=float("inf")).to_dict()
    done = replace(whole[1], record=record)
    assert "KL ceiling none;" in " ".join(card_of(done).split())
    assert "KL ceiling none" in page_of(done, [IMAGES[row] for row in whole[0].held_out])


def test_a_large_folder_is_trained_on_in_part(monkeypatch):
    monkeypatch.setattr(training, "CAPTIONS", 12)
    monkeypatch.setattr(improve_job, "CAPTIONS", 12)
    job = ImproveJob(model(), photos())
    assert job.trained_on == job.others[:12] and len(job._source()) == 12
    assert job.config.epochs == 1 and len(job.others) == 18
