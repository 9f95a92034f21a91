"""The drawn VLM's parts: processor, images, model sizes, dense labels, the start from CLIP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.lexicon import HOME_PLACES, OBJECTS
from vizer_lab.world.world import Scene, SceneObject
from vizer_lab.zoo.clip_model import DrawnClipConfig, build_drawn_clip
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of, retrieval_hits
from vizer_lab.zoo.tokenizer import DrawnTokenizer, vocabulary
from vizer_lab.zoo.vlm_from_clip import resized_kernel, start_from_clip
from vizer_lab.zoo.vlm_images import encode_images, pixel_values_of
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_processor import (
    PROMPT,
    drawn_vlm_processor,
    drawn_vlm_tokenizer,
    vlm_vocabulary,
)
from vizer_lab.zoo.vlm_vision import (
    IGNORED,
    DenseHeads,
    dense_accuracy,
    dense_labels,
    dense_loss,
)
from vizer_lab.zoo.vlms import vlm_from_state

TINY = DrawnVlmConfig(vision_width=32, vision_layers=1, vision_ffn=64, width=32, layers=1, ffn=64)
IMAGES = DrawnSplit("second_validation", 16).images


def test_the_vocabulary_continues_the_worlds() -> None:
    words, micro = vlm_vocabulary(), vocabulary()
    assert words[: len(micro)] == micro and len(set(words)) == len(words)
    text = "a t-shirt, two dogs under the stars!"
    assert drawn_vlm_tokenizer()(text)["input_ids"] == DrawnTokenizer().encode(text)


def test_words_come_back_from_their_ids() -> None:
    tokenizer = drawn_vlm_tokenizer()
    ids = tokenizer("ITAP of a t-shirt, <person> in 2008")["input_ids"]
    assert tokenizer.decode(ids) == "itap of a t-shirt, <person> in 2008"
    assert tokenizer("zeppelin")["input_ids"] == [tokenizer.unk_token_id]


def test_a_image_becomes_sixteen_image_tokens() -> None:
    made = drawn_vlm_processor()(text=PROMPT, images=[[Image.fromarray(IMAGES[0])]])
    words = [vlm_vocabulary()[i] for i in made["input_ids"][0]]
    mark = "<fake_token_around_image>"
    assert words == ["<start>", mark, "<global-img>", *["<image>"] * 16, mark]


def test_the_fast_path_gives_the_processors_pixels() -> None:
    slow = drawn_vlm_processor()(
        text=[PROMPT] * 4, images=[[Image.fromarray(p)] for p in IMAGES[:4]], return_tensors="pt"
    )["pixel_values"]
    fast = pixel_values_of(IMAGES[:4])
    assert fast.shape == slow.shape and torch.allclose(fast, slow, atol=1e-6)


def test_the_fast_path_gives_the_adapters_vision() -> None:
    vlm = vlm_from_state("tiny", TINY, build_drawn_vlm(TINY).state_dict())
    fast = encode_images(vlm, IMAGES, batch_size=5)
    slow = vlm.encode_image([Image.fromarray(p) for p in IMAGES])
    assert torch.allclose(fast.image_features, slow.image_features, atol=1e-5)
    for a, b in zip(fast.image_embeddings, slow.image_embeddings):
        assert a.shape == (16, 32) and torch.allclose(a, b, atol=1e-5)
    assert torch.equal(fast.grid, slow.grid)
    with pytest.raises(ValueError, match="images are 32 px wide, and tiny sees 112"):
        encode_images(vlm, np.zeros((1, 32, 32, 3), np.uint8))


def test_models_of_one_seed_are_equal_and_the_global_stream_is_left_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (build_drawn_vlm(TINY, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.rand(1), wanted)
    assert torch.equal(a.lm_head.weight, b.lm_head.weight)
    assert not torch.equal(a.lm_head.weight, c.lm_head.weight)
    assert not torch.equal(a.lm_head.weight, a.get_input_embeddings().weight)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="no whole 2 x 2 blocks of 16 px patches"):
        DrawnVlmConfig(patch_size=16)
    assert DrawnVlmConfig().image_tokens == 16 and DrawnVlmConfig().grid == 8


def test_dense_labels_of_a_known_scene() -> None:
    ids = {kind.name: i for i, kind in enumerate(OBJECTS)}
    scene = Scene(
        "second_test",
        0,
        (SceneObject("dog", 0.25, 0.25, 0.4, False), SceneObject("cat", 0.75, 0.75, 0.25, True)),
        "beach",
        0,
    )
    labels = dense_labels([scene], 8)
    kind = labels.kind[0].view(8, 8)
    assert (kind[1:3, 1:3] == ids["dog"]).all() and kind[0, 0] == IGNORED
    assert (kind[:4, 4:] == labels.nothing).all()
    centres = labels.centre[0].view(8, 8).nonzero().tolist()
    assert centres == [[2, 2], [6, 6]]
    assert labels.bag[0, ids["dog"]] == labels.bag[0, ids["cat"]] == 0.5
    place = labels.place[0].view(8, 8)
    assert HOME_PLACES[int(place[0, 7])].name == "beach" and place[1, 1] == IGNORED


def test_the_front_object_hides_the_one_behind() -> None:
    ids = {kind.name: i for i, kind in enumerate(OBJECTS)}
    both = [SceneObject(name, 0.5, 0.5, 0.5, False) for name in ("dog", "cat")]
    scene = Scene("second_test", 0, tuple(both), "snow", 0)
    assert int(dense_labels([scene], 8).kind[0].view(8, 8)[4, 4]) == ids["cat"]


def test_heads_that_say_the_labels_have_no_loss_and_full_accuracy() -> None:
    split = DrawnSplit("second_validation", 4)
    labels = dense_labels(split.scenes, 8)
    heads = DenseHeads(labels.nothing + 1)
    with torch.no_grad():
        for head in (heads.kind, heads.place, heads.centre, heads.bag):
            head.weight.zero_()
            head.bias.zero_()
        heads.kind.weight.copy_(20 * torch.eye(labels.nothing + 1))
    kinds = labels.kind.masked_fill(labels.kind == IGNORED, labels.nothing)
    patches = torch.nn.functional.one_hot(kinds, labels.nothing + 1).float()
    accuracy = dense_accuracy(patches, heads, labels)
    assert accuracy["kind"] == accuracy["nothing"] == 1.0
    blind = dense_loss(torch.zeros_like(patches), heads, labels)
    assert dense_loss(patches, heads, labels) < blind - 4  # log(109) and a quarter of it gone


def test_a_patch_is_read_as_clip_reads_it_enlarged() -> None:
    kernel, patch = torch.randn(5, 3, 8, 8), torch.randn(1, 3, 7, 7)
    enlarged = torch.nn.functional.interpolate(patch, (8, 8), mode="bilinear")
    wanted = torch.nn.functional.conv2d(enlarged, kernel)
    found = torch.nn.functional.conv2d(patch, resized_kernel(kernel, 7))
    assert torch.allclose(found, wanted, atol=1e-4)


def test_the_tower_starts_with_most_of_what_clip_knows() -> None:
    encoder, split = load_drawn_clip("drawn-clip-avg"), DrawnSplit("second_validation", 300)
    tower = build_drawn_vlm(DrawnVlmConfig(layers=1)).model.vision_model
    pixels = pixel_values_of(split.images)[:, 0]
    texts = encoder.encode_text([captions[0] for captions in split.captions])

    def rank(features: torch.Tensor) -> float:
        unit = torch.nn.functional.normalize(features, dim=-1)
        return float(retrieval_hits(unit, texts)["i2t_r5"].float().mean())

    def read() -> float:
        with torch.no_grad():
            return rank(tower(pixel_values=pixels).last_hidden_state.mean(1) @ visual.proj)

    visual = encoder.model.visual
    fresh = read()
    start_from_clip(tower, visual, pixels[:64])
    assert read() > 0.8 * rank(encoder.encode_image(pixels_of(split.images))) > 3 * fresh


def test_a_clip_of_other_sizes_is_refused() -> None:
    visual = build_drawn_clip(DrawnClipConfig(layers=2, width=64)).visual
    tower = build_drawn_vlm(replace(TINY, vision_layers=2)).model.vision_model
    with pytest.raises(ValueError, match=r"the CLIP tower has .*\(2, 256, 64\).*set vision_layers"):
        start_from_clip(tower, visual, torch.zeros(1, 3, 112, 112))
