"""The other world: nothing of home is in it, and its models have words for all of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizer_core.metrics.grounding import ground_captions
from vizer_lab.world import (
    DrawnSplit,
    captions_of,
    drawn_lexicon,
    make_scene,
    unlabelled_stream,
)
from vizer_lab.world.lexicon import (
    AWAY_PLACES,
    CATEGORY_WORDS,
    OBJECTS,
    world_named,
)
from vizer_lab.world.other_objects import OTHER_OBJECTS
from vizer_lab.world.questions import questions_of
from vizer_lab.world.world import (
    SPLITS,
    objects_of,
    places_of,
    split_in,
    world_of,
)
from vizer_lab.zoo.noisy_captions import (
    CaptionNoise,
    caption_draw,
    exact_caption,
    noisy_caption,
)
from vizer_lab.zoo.tokenizer import split_words
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_processor import drawn_vlm_tokenizer, vlm_vocabulary
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlm_scores import caption_scores
from vizer_lab.zoo.vlm_train import caption_ids, caption_loss, idefics3_losses
from vizer_lab.zoo.vlm_vision import DenseHeads, dense_labels, dense_loss
from vizer_lab.zoo.vlms import vlm_from_state

OTHER = [split for split in SPLITS if world_of(split) == "second_other"]
SCENES = [make_scene("second_other_train", i) for i in range(400)]
TINY = DrawnVlmConfig(
    vision_width=32,
    vision_layers=1,
    vision_ffn=64,
    width=32,
    layers=1,
    ffn=64,
    world="second_other",
)


def forms(kinds) -> set[str]:
    return {form for k in kinds for form in (k.name, k.plural, *k.synonyms)}


def test_the_worlds_share_no_object_no_drawing_and_no_noun() -> None:
    assert len(OTHER_OBJECTS) >= 60
    assert not {k.code for k in OBJECTS} & {k.code for k in OTHER_OBJECTS}
    assert not forms(OBJECTS) & forms(OTHER_OBJECTS)
    assert {k.category for k in OTHER_OBJECTS} == set(CATEGORY_WORDS)
    names = [k.name for k in OTHER_OBJECTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("split", OTHER)
def test_scenes_hold_the_other_objects_at_the_away_places(split: str) -> None:
    scenes = [make_scene(split, i) for i in range(600)]
    assert {o.name for s in scenes for o in s.objects} == {k.name for k in OTHER_OBJECTS}
    assert {s.place for s in scenes} == {p.name for p in AWAY_PLACES}
    assert objects_of(split) == OTHER_OBJECTS and places_of(split) == AWAY_PLACES


def test_its_captions_are_true_by_its_own_lexicon_and_unread_by_the_first() -> None:
    texts, truths = [captions_of(s)[0] for s in SCENES], [s.truth for s in SCENES]
    counts = ground_captions(texts, truths, lexicon=drawn_lexicon("second_other"))
    assert sum(c.object_said for c in counts) > len(SCENES) / 2
    assert all(c.object_true == c.object_said for c in counts)
    blind = ground_captions(texts, truths, lexicon=drawn_lexicon())
    assert sum(c.object_true for c in blind) == 0


def test_its_vocabulary_has_every_word_that_it_uses() -> None:
    words = set(vlm_vocabulary("second_other"))
    mix = CaptionNoise(0.3, 0.3, 0.2)
    for scene in SCENES:
        draw = caption_draw(scene.split, scene.index, 0)
        said = [*captions_of(scene), exact_caption(scene, draw), noisy_caption(scene, draw, mix)]
        assert set(split_words(" ".join(said))) - {"person"} <= words
    assert "dog" not in words and "lion" in words
    assert drawn_vlm_tokenizer("second_other").convert_tokens_to_ids("lion") == vlm_vocabulary(
        "second_other"
    ).index("lion")


def test_questions_ask_for_its_own_objects() -> None:
    asked = [q.text for s in SCENES for q in questions_of(s) if q.kind == "presence"]
    names = [text.split(" in this")[0].split(" ", 3)[3] for text in asked]
    assert len(names) > 50 and set(names) <= {k.name for k in OTHER_OBJECTS}


def test_scores_read_its_captions() -> None:
    truth = ["a " + " and a ".join(o.name for o in s.objects) for s in SCENES[:20]]
    assert caption_scores(truth, SCENES[:20])["object_recall"] > 0.8


def test_labels_of_patches_are_numbered_by_its_own_table() -> None:
    labels, heads = dense_labels(SCENES[:4], 8), DenseHeads(16, "second_other_train")
    first = [k.name for k in OTHER_OBJECTS].index(SCENES[0].objects[0].name)
    assert labels.nothing == len(OTHER_OBJECTS) and labels.bag[0, first] > 0
    assert heads.kind.out_features == len(OTHER_OBJECTS) + 1
    assert heads.place.out_features == len(AWAY_PLACES)
    assert torch.isfinite(dense_loss(torch.randn(4, 64, 16), heads, labels))


def test_its_stream_has_images_of_its_own_and_no_captions() -> None:
    other, home = (next(iter(unlabelled_stream(1, world=w))) for w in ("second_other", "second"))
    assert other.id == "second_other_stream-00000" and not np.array_equal(other.pixels, home.pixels)
    with pytest.raises(ValueError, match="the stream has no captions"):
        DrawnSplit("second_other_stream", 3)


def test_an_unknown_world_is_named() -> None:
    with pytest.raises(ValueError, match=r"no world 'third': wanted one of \['second', "):
        world_named("third")
    with pytest.raises(ValueError, match="no world 'third'"):
        split_in("third", "train")


def test_training_captions_are_encoded_by_its_own_ids() -> None:
    words = vlm_vocabulary("second_other")
    assert [words[i] for i in caption_ids(["a lion"], world="second_other")[0]] == [
        "a",
        "lion",
        "<end>",
    ]
    losses, model = idefics3_losses("second_other"), build_drawn_vlm(TINY, seed=1)
    ids, patches = caption_ids(["a lion"], world="second_other"), torch.zeros(1, TINY.grid**2, 32)
    with torch.no_grad():
        own = caption_loss(model, patches, ids, world="second_other")
        assert float(losses.caption(model, patches, ids)) == float(own)
    assert losses.world == "second_other"


def test_a_model_is_trained_in_it_and_speaks_its_words(tmp_path) -> None:
    stage = VlmStage("exact", steps=2, batch=4, learning_rate=1e-3)
    recipe = VlmRecipe(
        TINY, tower=stage, exact=stage, web=stage, mix=CaptionNoise(0.3, 0.3, 0.2), scenes=8,
        parent="given",
    )  # fmt: skip
    eye = build_drawn_vlm(TINY, seed=3).model.vision_model.state_dict()
    model = run_stages(VlmRun.open(tmp_path / "run.safetensors", recipe), eye)
    assert model.config.text_config.vocab_size == len(vlm_vocabulary("second_other"))
    vlm = vlm_from_state("tiny", TINY, model.state_dict())
    assert (
        vlm.processor.tokenizer.decode(vlm.processor.tokenizer("a lion")["input_ids"]) == "a lion"
    )
