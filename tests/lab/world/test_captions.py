"""What is drawn and written stays as it was, and the exact parser reads all of it as true."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest

from vizer_core.metrics.grounding import (
    RelationClaim,
    check_caption,
    grounding_rates,
    is_exact,
    parse_caption,
)
from vizer_lab.world import (
    DrawnSplit,
    Scene,
    captions_of,
    drawn_answer_list,
    drawn_corpus,
    drawn_lexicon,
    make_scene,
    questions_of,
    render_scenes,
    unlabelled_stream,
)
from vizer_lab.world.captions import another_home_caption
from vizer_lab.world.lexicon import AWAY_PLACES, HOME_PLACES, OBJECTS, WORLDS
from vizer_lab.world.other_objects import OTHER_OBJECTS
from vizer_lab.world.settings import NUMBERS_SAID, plain_marks
from vizer_lab.world.wording import Group, relation_words
from vizer_lab.world.world import (
    MAX_OVERLAP,
    SPLITS,
    SceneObject,
    _overlap,
    objects_of,
    places_of,
    scene_rng,
    world_of,
)
from vizer_lab.zoo.noisy_captions import CaptionNoise, caption_draw, exact_caption, noisy_caption
from vizer_lab.zoo.tokenizer import DrawnTokenizer, split_words
from vizer_lab.zoo.vlm_processor import WORD_PATTERN, drawn_vlm_tokenizer, vlm_vocabulary
from vizer_lab.zoo.vlm_train import caption_ids

MANY = 600
LEXICON = drawn_lexicon()
CLAIMS = ("object", "attribute", "count", "relation", "background")
MIX = CaptionNoise(0.3, 0.28, 0.22)

# what every shipped model has seen and read
PIXELS = "2ebff1407c78858b38f82091a89620ecdbe70f87591e1e259258e5a5497be639"
WORDS = "88c5f8e7c2cedde79dc56106ae0ef938d5cd3da72a1d66042ebecfe31228a1ef"


def scenes(split: str = "second_train", n: int = MANY) -> list[Scene]:
    return [make_scene(split, i) for i in range(n)]


def everything_written(scene: Scene) -> list[str]:
    draws = [caption_draw(scene.split, scene.index, visit) for visit in (1, 2)]
    return [exact_caption(scene, draws[0]), noisy_caption(scene, draws[1], MIX)]


def test_no_pixel_and_no_word_has_changed_since_the_models_were_trained() -> None:
    pixels, words = hashlib.sha256(), hashlib.sha256()
    for split in SPLITS:
        drawn = scenes(split, 60)
        pixels.update(render_scenes(drawn).tobytes())
        for scene in drawn:
            asked = [q.text + q.answer for q in questions_of(scene)]
            said = [scene.id, repr(scene.truth), *captions_of(scene)]
            said += [another_home_caption(scene, 2), *asked, *everything_written(scene)]
            words.update("\n".join(said).encode())
    for world in WORLDS:
        words.update(" ".join(vlm_vocabulary(world)).encode())
    assert (pixels.hexdigest(), words.hexdigest()) == (PIXELS, WORDS)


@pytest.mark.parametrize("split", SPLITS)
def test_scenes_hold_up_to_six_objects_of_their_world(split: str) -> None:
    drawn, other = scenes(split, 300), world_of(split) == "second_other"
    assert {o.name for s in drawn for o in s.objects} <= {k.name for k in objects_of(split)}
    assert objects_of(split) == (OTHER_OBJECTS if other else OBJECTS)
    assert places_of(split) == (AWAY_PLACES if other or "away" in split else HOME_PLACES)
    counts = Counter(len(s.objects) for s in drawn)
    assert set(counts) == {1, 2, 3, 4, 5, 6} and min(counts.values()) > 0.05 * len(drawn)
    assert {o.size for s in drawn for o in s.objects} == {"small", "medium", "big"}
    for scene in drawn[:100]:
        for k, item in enumerate(scene.objects):
            box = (item.x, item.y, item.w)
            assert item.w / 2 - 1e-3 <= item.x <= 1 - item.w / 2 + 1e-3
            assert all(_overlap(box, o) <= MAX_OVERLAP + 0.01 for o in scene.objects[:k])


def test_images_are_112_px_wide_wherever_the_split_is_named() -> None:
    assert render_scenes(scenes(n=2)).shape == (2, 112, 112, 3)
    assert DrawnSplit("second_test", 2).images.shape == (2, 112, 112, 3)
    assert DrawnSplit("second_test", 2, size=28).images.shape == (2, 28, 28, 3)
    image = next(iter(unlabelled_stream(1, world="second_other")))
    assert image.pixels.shape == (112, 112, 3) and image.id == "second_other_stream-00000"
    repeated = np.array_equal(render_scenes(scenes(n=3)), render_scenes(scenes(n=3)))
    assert repeated


@pytest.mark.parametrize(
    "split", ["second_train", "second_test", "second_away_train", "second_other_test"]
)
def test_all_that_the_parser_reads_in_a_caption_is_true(split: str) -> None:
    lexicon = drawn_lexicon(world_of(split))
    for scene in scenes(split, MANY // 2):
        for caption in (*captions_of(scene), everything_written(scene)[0]):
            counts = check_caption(parse_caption(caption, lexicon), scene.truth)
            for claim in CLAIMS:
                true, said = getattr(counts, f"{claim}_true"), getattr(counts, f"{claim}_said")
                assert true == said, (scene.id, caption, claim)


def test_a_claim_about_another_scene_is_found_false() -> None:
    drawn = scenes()
    wrong = [
        check_caption(parse_caption(captions_of(a)[0], LEXICON), b.truth)
        for a, b in pairwise(drawn)
    ]
    rates = grounding_rates(reduce(add, wrong))
    assert all(rates[f"{kind}_accuracy"] < 0.15 for kind in ("relation", "count", "attribute"))
    assert rates["object_precision"] < 0.15


def test_captions_name_numbers_sizes_colours_and_relations_often_and_leave_things_out() -> None:
    pairs = [(c, s) for s in scenes() for c in captions_of(s)]
    counts = [check_caption(parse_caption(c, LEXICON), s.truth) for c, s in pairs]
    said = {k: np.mean([getattr(c, f"{k}_said") > 0 for c in counts]) for k in CLAIMS}
    assert said["relation"] > 0.15 and said["count"] > 0.25 and said["attribute"] > 0.3
    assert 0.6 < said["background"] < 0.85
    total = reduce(add, counts)
    assert 0.6 < total.object_found / total.object_there < 0.9
    assert len({c for c, _ in pairs}) > 0.75 * len(pairs)


def test_a_full_caption_leaves_no_kind_out_and_says_every_number() -> None:
    for scene in scenes(n=400):
        caption = everything_written(scene)[0]
        counts = check_caption(parse_caption(caption, LEXICON), scene.truth)
        assert counts.object_found == counts.object_there
        kinds = Counter(o.name for o in scene.objects)
        assert counts.count_said == sum(n > 1 for n in kinds.values())
        if counts.background_said:
            assert is_exact(counts)


def test_relations_of_full_captions_cannot_be_guessed_from_the_order() -> None:
    said = Counter(
        claim.relation
        for scene in scenes()
        for claim in parse_caption(everything_written(scene)[0], LEXICON).relations
    )
    assert len(said) >= 4 and max(said.values()) < 0.5 * sum(said.values())


@pytest.mark.parametrize(
    ("caption", "mentions", "relations"),
    [
        ("two dogs", [("dog", 2, None, None)], []),
        (
            "a small red apple left of a cat",
            [("apple", None, "small", "red"), ("cat", None, None, None)],
            [RelationClaim(0, "left of", 1)],
        ),
        (
            "six big blue whales, a bee",
            [("whale", 6, "big", "blue"), ("bee", None, None, None)],
            [],
        ),
        (
            "in the snow, an orange is under two oranges, with an orange carrot",
            [
                ("orange", None, None, None),
                ("orange", 2, None, None),
                ("carrot", None, None, "orange"),
            ],
            [RelationClaim(0, "below", 1)],
        ),
    ],
)
def test_the_parser_reads_plain_punctuation(caption, mentions, relations) -> None:
    parsed = parse_caption(caption, LEXICON)
    found = [(next(iter(m.names)), m.number, m.size, m.colour) for m in parsed.mentions]
    assert found == mentions and list(parsed.relations) == relations


def test_next_to_is_said_only_of_things_that_are_near() -> None:
    def said(x: float) -> str | None:
        left = SceneObject("dog", 0.1, 0.5, 0.2, False)
        right = SceneObject("cat", x, 0.5, 0.2, False)
        return relation_words(Group("dog", (left,)), Group("cat", (right,)), lambda: 0.2)

    assert said(0.5) == "next to" and said(0.9) == "to the left of"


def test_marks_are_plain_and_both_tokenizers_give_the_text_back() -> None:
    words, subword = DrawnTokenizer(world="second"), drawn_vlm_tokenizer("second")
    known, longest = set(vlm_vocabulary("second")), 0
    for split in ("second_train", "second_away_train"):
        for scene in scenes(split, 300):
            texts = (*captions_of(scene), *everything_written(scene))
            texts += tuple(q.text for q in questions_of(scene))
            for text in texts:
                assert (
                    not re.search(r" [,.!?:]", text)
                    and set(re.findall(WORD_PATTERN, text)) <= known
                )
                found = subword.decode(subword(text)["input_ids"])
                assert plain_marks(found) == text  # its own clean-up knows no colon
            for text in captions_of(scene):
                assert words.decode(words.encode(text)) == text
                longest = max(longest, len(split_words(text)) + 2)
    assert longest <= words.context_length


def test_words_and_marks_become_the_same_ids_everywhere() -> None:
    text = "a t-shirt, two tents and <person> in 2008"
    expected = [vlm_vocabulary("second").index(w) for w in re.findall(WORD_PATTERN, text)]
    assert caption_ids([text], world="second")[0, :-1].tolist() == expected


def test_questions_count_to_six_and_have_an_answer_in_the_list() -> None:
    answers, numbers = set(drawn_answer_list().answers), set()
    for scene in scenes(n=MANY):
        for question in questions_of(scene):
            assert question.answer in answers and question.text.endswith("?")
            assert "picture" not in question.text
            numbers |= {question.answer} if question.kind == "count" else set()
    assert {"one", "two", "three", "four"} <= numbers <= set(NUMBERS_SAID)


def test_a_corpus_of_each_style_is_of_its_own_scenes() -> None:
    home, away = drawn_corpus("home", 50), drawn_corpus("away", 50)
    assert home.image_ids[0] == "second_train-00000"
    assert away.image_ids[0] == "second_away_train-00000"
    assert not set(home.captions) & set(away.captions)


def test_a_scene_is_drawn_from_its_own_seed() -> None:
    a, b = (scene_rng(split, 0, purpose=0).random(4) for split in ("second_test", "second_train"))
    assert not np.array_equal(a, b) and len(set(SPLITS.values())) == len(SPLITS)
    assert make_scene("second_train", 5).truth != make_scene("second_train", 6).truth
    assert len({make_scene("second_train", 5), make_scene("second_train", 5)}) == 1
