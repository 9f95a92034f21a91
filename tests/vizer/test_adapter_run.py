"""What every training of an adapter does alike: dealing, warming up, stopping, saving, going on."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest
import torch
from tiny_vlm import tiny_smol

from vizer_core.runtime import seeded
from vizer_core.vizer.adapter_run import AdapterRun, TrainConfig, deal_images
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.targets import Shuffled
from vizer_core.vizer.train import clip_and_step
from vizer_core.vlm.protocol import VisionBatch

CONFIG = TrainConfig(
    learning_rate=0.1, images_per_step=1, warmup_steps=1, clip_norm=1.0, save_every=1
)


def images(count=3, seed=0) -> VisionBatch:
    """Return what a vision side would say of images that nobody reads."""
    features = torch.randn(count, 4, generator=seeded(seed))
    return VisionBatch(features, tuple(torch.zeros(count, 1, 2)), torch.ones(count, 3).long())


def ready(path=None, *, config=CONFIG, source=None, **metadata):
    vlm = tiny_smol()
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    run = AdapterRun.open(
        vlm,
        config,
        metadata=metadata,
        source=source or images(),
        generator=seeded(1),
        checkpoint=path,
    )
    return vlm, run


def squares(run) -> torch.Tensor:
    return sum(value.square().sum() for value in run.parameters.values())


def descend(run, step, *, scale=1.0) -> float:
    """Take a step down a loss whose gradient is known."""
    run.optimizer.zero_grad(set_to_none=True)
    loss = scale * squares(run)
    loss.backward()
    return clip_and_step(run, step, loss=float(loss.detach()))


def record(run, norm, *, kl=None) -> None:
    """Write down what a run must know of a step."""
    run.history.gradient_norm.append(norm)
    run.history.kl.append(kl)


def go(run, *, scale=1.0, kl=None) -> list[int]:
    """Train to the end, and say which steps were taken."""
    taken = []
    for step, _ in run.steps():
        record(run, descend(run, step, scale=scale), kl=kl)
        run.close_step(step)
        taken.append(step)
    return taken


def test_every_image_is_dealt_once_an_epoch_in_a_new_order():
    batches = deal_images(7, 3, epochs=2, generator=seeded(0))
    assert [len(step) for step in batches] == [3, 3, 1, 3, 3, 1]
    first, second = (list(chain(*batches[i : i + 3])) for i in (0, 3))
    assert sorted(first) == sorted(second) == list(range(7)) and first != second
    assert batches == deal_images(7, 3, epochs=2, generator=seeded(0))
    with pytest.raises(ValueError, match="source contains no image"):
        deal_images(0, 3, generator=seeded(0))


def test_a_step_reports_the_norm_before_clipping_and_warms_up():
    _, run = ready()
    wanted = 2 * float(squares(run).detach().sqrt())  # the gradient of a sum of squares is 2 w
    assert descend(run, 0) == pytest.approx(wanted, rel=1e-5)
    clipped = sum(float(p.grad.square().sum()) for p in run.parameters.values()) ** 0.5
    assert clipped == pytest.approx(min(1.0, wanted), rel=1e-4)
    rates = [run.optimizer.param_groups[0]["lr"]]
    descend(run, 1)
    assert [*rates, run.optimizer.param_groups[0]["lr"]] == pytest.approx([0.05, 0.1])


def test_a_run_goes_on_after_its_last_saved_step(tmp_path):
    path = tmp_path / "run.safetensors"
    whole, run = ready()
    assert go(run) == [0, 1, 2]
    _, part = ready(path)
    next(steps := part.steps())
    record(part, descend(part, 0))
    part.close_step(0)
    steps.close()
    resumed, rest = ready(path)
    assert go(rest) == [1, 2] and rest.history == run.history
    ours, theirs = lora_parameters(resumed), lora_parameters(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(ValueError, match="belongs to another run: reward differ"):
        ready(path, reward="another")


@pytest.mark.parametrize(
    "other", [images(seed=1), Shuffled(images(), torch.tensor([1, 2, 0]))], ids=["images", "order"]
)
def test_a_run_does_not_go_on_with_other_images(tmp_path, other):
    path = tmp_path / "run.safetensors"
    go(ready(path)[1])
    with pytest.raises(ValueError, match="another run: its images, or the targets that they carry"):
        ready(path, source=other)
    rounded = images().with_targets(images().targets.bfloat16().float())
    assert go(ready(path, source=rounded)[1]) == []  # another precision is the same image


def test_a_run_knows_images_of_equal_targets_by_their_embeddings(tmp_path):
    path = tmp_path / "run.safetensors"
    shown = torch.randn(3, 20, 2, generator=seeded(2))
    source = replace(images(), image_embeddings=tuple(shown))
    go(ready(path, source=source)[1])
    assert go(ready(path, source=source)[1]) == []
    for other in (torch.randn(3, 20, 2, generator=seeded(3)), shown.flip(1), shown[:, :5]):
        changed = replace(source, image_embeddings=tuple(other))
        with pytest.raises(ValueError, match="another run: its images, or the targets that they"):
            ready(path, source=changed)


def interrupted(run, step_of_the_stop: int) -> None:
    """Train as `go` does, until Ctrl-C comes after the weights moved, before the step is closed."""
    with run.kept_when_stopped():
        for step, _ in run.steps():
            record(run, descend(run, step))
            if step == step_of_the_stop:
                raise KeyboardInterrupt
            run.close_step(step)


def test_ctrl_c_saves_the_last_whole_step(tmp_path):
    path, config = tmp_path / "run.safetensors", replace(CONFIG, save_every=3)
    whole, run = ready()
    go(run)
    with pytest.raises(KeyboardInterrupt, match=r"^step 2 of 3$"):
        interrupted(ready(path, config=config)[1], 2)
    with pytest.raises(KeyboardInterrupt, match=r"^step 2 of 3$"):
        interrupted(ready(path, config=config)[1], 2)
    resumed, rest = ready(path, config=config)
    assert go(rest) == [2] and rest.history == run.history
    ours, theirs = lora_parameters(resumed), lora_parameters(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_ctrl_c_says_nothing_where_no_step_was_kept(tmp_path):
    for path in (None, tmp_path / "run.safetensors"):
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            interrupted(ready(path)[1], 0)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_overflows_before_any_other_leaves_nothing_to_save(tmp_path):
    _, run = ready(tmp_path / "run.safetensors")
    record(run, float("inf"))
    run.close_step(0)  # AdamW has no moments yet
    assert run.whole is None and list(tmp_path.iterdir()) == []


def test_a_run_too_far_from_its_base_stops_and_stays_stopped(tmp_path):
    path, config = tmp_path / "run.safetensors", replace(CONFIG, max_kl=0.5, kl_every=1)
    _, run = ready(path, config=config)
    assert go(run, kl=0.6) == [0] and run.history.stopped == "KL 0.60 > 0.5 after step 1"
    _, again = ready(path, config=config)
    assert go(again) == [] and again.history == run.history


def test_a_gradient_that_is_not_a_number_is_refused_before_it_is_used():
    vlm, run = ready()
    before = {name: value.detach().clone() for name, value in lora_parameters(vlm).items()}
    with pytest.raises(ValueError, match="step 1: loss nan, gradient norm nan"):
        go(run, scale=float("nan"))
    assert all(torch.equal(before[name], value) for name, value in lora_parameters(vlm).items())


def test_a_model_without_an_adapter_is_refused():
    with pytest.raises(ValueError, match="carries no LoRA: call add_lora"):
        AdapterRun.open(tiny_smol(), CONFIG, metadata={}, source=images(), generator=seeded(0))
