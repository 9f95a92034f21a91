"""What is looked at while an adapter trains, and what it changes: nothing, or when it stops."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.adapter_job import AdapterJob
from vizer_core.data.image_set import ImageSet
from vizer_core.decoding import Sample
from vizer_core.vizer import LoraSettings, load_adapter
from vizer_core.vizer.adapter_run import POLICY_GRADIENT
from vizer_core.vizer.lora import adapter_tensors
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vizer.watch import WatchPlan

IMAGES = ImageSet(tuple(f"{i}.png" for i in range(10)), noise_images(10))
CONFIG = replace(POLICY_GRADIENT, images_per_step=2, decoding=Sample(max_tokens=5))


def many_words(images, captions) -> list[float]:
    """A reward of words alone."""
    return [float(len(set(text.split()))) for text in captions.texts]


def job(watch: WatchPlan, **more) -> AdapterJob:
    return AdapterJob(
        tiny_smol(), IMAGES, many_words, CONFIG, lora=LoraSettings(2, 4), watch=watch, **more
    )


def test_a_run_that_is_watched_has_the_weights_of_one_that_is_not(tmp_path):
    plain = job(WatchPlan())
    plain.run(tmp_path / "plain")
    steps, told = [], []
    seen = job(WatchPlan(every=2, save_every=2), log=lambda run, step: steps.append(step))
    seen.run(tmp_path / "seen", tell=lambda line, err=False: told.append(line))
    wanted, found = adapter_tensors(plain.vlm), adapter_tensors(seen.vlm)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert steps == [0, 1, 2, 3, 4]
    looks = [line for line in told if line.startswith("step")]
    assert [line.split(":")[0] for line in looks] == ["step 2 of 5", "step 4 of 5", "step 5 of 5"]
    assert "; 0.png: " in looks[0] and "held out" not in looks[0]
    kept = sorted(path.name for path in (tmp_path / "seen").iterdir() if path.is_dir())
    assert kept == ["step-000002", "step-000004"]
    other = tiny_smol()
    load_adapter(other, tmp_path / "seen" / "step-000002")


def test_images_that_are_held_out_are_scored_and_not_trained_on(tmp_path):
    told = []
    done = job(WatchPlan(every=1, held_out=4)).run(
        tmp_path / "a", tell=lambda line, err=False: told.append(line)
    )
    looks = [line for line in told if line.startswith("step")]
    assert len(looks) == len(done.history.loss) == 3  # six images, two per step
    assert all(", held out " in line for line in looks)
    with pytest.raises(ValueError, match="9 of 10 images held out: wanted at least 2 to train on"):
        job(WatchPlan(every=1, held_out=9)).run(tmp_path / "b")


class Noted:
    """Images that note which of them were asked for."""

    def __init__(self, source):
        self.source, self.asked = source, set()

    def __len__(self):
        return len(self.source)

    def select(self, indices):
        self.asked |= set(indices)
        return self.source.select(indices)


def test_a_mapper_is_not_fitted_on_images_that_are_held_out(tmp_path):
    images = ImageSet(tuple(f"{i}.png" for i in range(26)), noise_images(26))
    vlm = tiny_smol()
    source = Noted(ImageSource(vlm, images.images))
    watched = AdapterJob(
        vlm, images, "read_back", CONFIG, watch=WatchPlan(every=1, held_out=4), source=source
    )
    assert watched._mapper(source, tmp_path, lambda line, err=False: None) is not None
    assert source.asked == set(range(22))
    few = replace(watched, watch=WatchPlan(every=1, held_out=7))
    with pytest.raises(ValueError, match="19 images are too few to fit a mapper on"):
        few._mapper(source, tmp_path, lambda line, err=False: None)


def test_a_run_stops_that_gets_no_better_and_keeps_its_best(tmp_path, monkeypatch):
    scores = iter([1.0, 3.0, 2.0, 3.0, 9.0])
    monkeypatch.setattr("vizer_core.vizer.watch.score_of", lambda *given: next(scores))
    trained = job(WatchPlan(every=1, held_out=2, patience=2, save_every=1))
    told = []
    done = trained.run(tmp_path / "a", tell=lambda line, err=False: told.append(line))
    assert done.history.stopped == "no better score on held-out images since step 2"
    assert len(done.history.loss) == 4
    assert "the adapter of step 2 is kept: the best on held-out images" in told
    best = tiny_smol()
    load_adapter(best, tmp_path / "a" / "step-000002")
    wanted, found = adapter_tensors(best), adapter_tensors(trained.vlm)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_an_adapter_has_a_card_that_says_how_it_was_trained(tmp_path):
    job(WatchPlan()).run(tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert card.startswith("---\nbase_model: tiny-Idefics3\nlibrary_name: peft\n")
    assert "(rank 2, alpha 4)" in card and "without a label on\n10 images" in card


@pytest.mark.parametrize(("plan", "said"), [
    ({"every": -1}, "wanted no negative count"),
    ({"held_out": 3}, "wanted every > 0"),
    ({"every": 1, "patience": 1}, "patience needs held_out images"),
])  # fmt: skip
def test_plans_that_look_at_nothing_are_refused(plan, said):
    with pytest.raises(ValueError, match=said):
        WatchPlan(**plan)
