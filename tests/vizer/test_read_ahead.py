"""Images prepared ahead: the same batches to the last bit, errors in the caller, no thread left."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.cli.named_images import NamedImages
from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vizer import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.generate_captions import vision_batches
from vizer_core.vizer.read_ahead import ReadAhead, batches_of, read_ahead
from vizer_core.vizer.targets import Slice, shuffled
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vizer.train import train_adapter
from vizer_core.vlm.views import ViewSource

IMAGES = noise_images(7)
BATCHES = [[0, 1], [2, 3, 6], [4], [0, 1], [5]]
SOURCES = {
    "images": ImageSource,
    "named": lambda vlm, images: NamedImages(vlm, images, [f"{i}.png" for i in range(len(images))]),
    "views": lambda vlm, images: ViewSource(vlm, images, 3),
    "slice": lambda vlm, images: Slice(ImageSource(vlm, [*images, *images]), range(7, 14)),
    "shuffled": lambda vlm, images: shuffled(ImageSource(vlm, images), generator=seeded(0)),
}


class Broken(Sequence):
    """Images of which the fourth cannot be opened, once its disk is `gone`.

    The type check of a test run looks at one image at random when a source is made: the disk goes
    after that.
    """

    gone = False

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if index == 3 and self.gone:
            raise OSError(f"disk gone in {threading.current_thread().name}")
        return IMAGES[index]


def readers() -> list[str]:
    """Names of the threads that read ahead at this moment."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("read-ahead")]


def same(a, b) -> bool:
    tensors = [(a.image_features, b.image_features), (a.targets, b.targets), (a.grid, b.grid)]
    tensors += list(zip(a.image_embeddings, b.image_embeddings, strict=True))
    tensors += [(a.compared_with.index, b.compared_with.index), (a.index, b.index)]
    return all(torch.equal(one, other) for one, other in tensors)


def watched(vlm):
    """Note in which thread a model's images are preprocessed."""
    threads, preprocess = [], vlm.preprocess

    def noted(images):
        threads.append(threading.current_thread().name)
        return preprocess(images)

    vlm.preprocess = noted
    return threads


@pytest.mark.parametrize("family", [tiny_smol, tiny_qwen])
@pytest.mark.parametrize("kind", SOURCES)
def test_batches_are_those_of_the_source_to_the_last_bit(kind, family):
    source = SOURCES[kind](family(), IMAGES)
    threads = watched(getattr(source, "vlm", None) or source.source.vlm)
    with ReadAhead(source, BATCHES) as ahead:
        found = [ahead.select(batch) for batch in BATCHES]
        assert len(readers()) == 1 and len(ahead) == 7
    assert not readers()
    each = 2 if kind == "shuffled" else 1
    assert sum(name.startswith("read-ahead") for name in threads) == 4 * each == len(threads) - each
    assert all(same(one, source.select(batch)) for one, batch in zip(found, BATCHES))


def test_other_images_in_between_cost_nothing_of_what_was_prepared():
    source = ImageSource(tiny_smol(), IMAGES)
    threads = watched(source.vlm)
    with ReadAhead(source, BATCHES) as ahead:
        for batch in (BATCHES[0], [6], [5, 4], BATCHES[1]):
            assert same(ahead.select(batch), ImageSource(tiny_smol(), IMAGES).select(batch))
    by_hand = sum(not name.startswith("read-ahead") for name in threads)
    assert by_hand == 3  # the first, and the two that nobody announced


def test_a_batch_that_fails_fails_in_the_caller_and_the_next_one_comes():
    images = Broken()
    source = ImageSource(tiny_smol(), images)
    images.gone = True
    with ReadAhead(source, BATCHES) as ahead:
        ahead.select(BATCHES[0])
        with pytest.raises(OSError, match="disk gone in MainThread"):
            ahead.select(BATCHES[1])
        assert len(ahead.select(BATCHES[2])) == 1
    assert not readers()


def test_a_source_with_names_says_whose_fault_it_is():
    names = [f"{i}.png" for i in range(7)]
    images = [*IMAGES[:4], noise_images(1, size=(2, 600))[0], *IMAGES[5:]]
    source = NamedImages(tiny_qwen(), images, names)
    with read_ahead(source, BATCHES) as ahead:
        ahead.select(BATCHES[0])
        ahead.select(BATCHES[1])
        with pytest.raises(ValueError, match=r"the model refuses 4\.png: absolute aspect ratio"):
            ahead.select(BATCHES[2])


def test_what_was_computed_before_and_a_single_batch_need_no_thread():
    source = ImageSource(tiny_smol(), IMAGES)
    encoded = source.select([0, 1, 2])
    with read_ahead(encoded, BATCHES) as ahead:
        assert ahead is encoded
    with read_ahead(source, BATCHES[:1]) as ahead:
        assert ahead is source


def test_a_set_is_captioned_with_its_batches_read_ahead():
    vlm = tiny_smol()
    threads = watched(vlm)
    found = list(vision_batches(ImageSource(vlm, IMAGES), batch=3))
    assert [batch.index.tolist() for batch in found] == batches_of(7, 3)
    assert sum(name.startswith("read-ahead") for name in threads) == 2 and not readers()


class Stops(Exception):
    pass


class OneByOne:
    """A source that cannot prepare anything: its batches are encoded when they are asked for."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def select(self, indices):
        assert not readers()
        return self.source.select(indices)


def trained(source_of, stop: int | None = None):
    vlm = tiny_smol()
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    config = TrainConfig(
        images_per_step=2, samples=2, learning_rate=1e-2, kl_every=0, decoding=Sample(max_tokens=4)
    )

    def watch(run, step):
        if step == stop:
            assert len(readers()) == 1
            raise Stops

    def reward(vision, captions):
        return [float(len(text)) for text in captions.texts]

    train_adapter(vlm, source_of(vlm), reward, config, generator=seeded(1), progress=watch)
    return torch.cat([weight.flatten() for weight in lora_parameters(vlm).values()])


def test_a_training_reads_ahead_to_the_same_weights_and_ends_its_thread():
    ahead = trained(lambda vlm: ImageSource(vlm, IMAGES))
    assert torch.equal(ahead, trained(lambda vlm: OneByOne(ImageSource(vlm, IMAGES))))
    with pytest.raises(Stops):
        trained(lambda vlm: ImageSource(vlm, IMAGES), stop=1)
    assert not readers()


def test_the_benchmark_races_both_ways():
    """What it hides depends on how busy the machine is: no bar here."""
    from benchmarks.read_ahead import figures_of

    found = figures_of(16, 1)
    assert found["read_ahead_speedup"] > 0 and found["preparation_ms_per_image"] > 0
    assert not readers()
