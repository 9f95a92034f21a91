"""Zero-shot VQA: perfect and chance-level answers, floors, and the protocol with real models."""

from __future__ import annotations

import zlib

import pytest
import torch

from vizer_core.decoding import Beam
from vizer_core.language import CausalLM, Generated, PrefixLanguageModel
from vizer_core.metrics.vqa_accuracy import soft_accuracy
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.vqa import (
    AnswerList,
    VqaItem,
    VqaProtocol,
    answer_prompt,
    borrowed_captions,
    evaluate_vqa,
    first_line,
    generate_answers,
    prior_ranking,
    rank_candidates,
    release_prompt,
    retrieve_answers,
    score_by_type,
    score_chance,
    score_ranking,
    type_prior_ranking,
)
from vizer_core.vqa.answering import NO_ANSWER
from vizer_core.vqa.scoring import per_image
from vizer_lab.world.corpora import drawn_corpus
from vizer_lab.world.vqa_items import (
    drawn_answer_list,
    drawn_prompt,
    drawn_vqa_items,
)
from vizer_lab.zoo.clips import load_drawn_clip
from vizer_lab.zoo.lm_model import (
    DrawnLMConfig,
    build_drawn_lm,
    drawn_lm_tokenizer,
)


class Says:
    """A language model that answers each prompt from a table, and keeps the prompts it got."""

    name, bos_id, eos_id, pad_id, width, max_positions = "says", 0, 1, 2, 4, 99
    model, device, fingerprint = torch.nn.Identity(), torch.device("cpu"), "0"

    def __init__(self, table: dict[str, str]) -> None:
        self.table, self.asked = table, []

    def generate(self, prefix, *, decoding, prompts=None, generator=None) -> Generated:
        assert prefix.shape == (len(prompts), 0, self.width)
        self.asked.append(list(prompts))
        return Generated(torch.zeros(len(prompts), 1).long(), tuple(map(self.table.get, prompts)))

    def unavailable(self, *args, **kwargs):
        raise NotImplementedError

    tokenize = word_ids = decode = embed = logits = hidden_states = unfreeze = unavailable


class OwnVectors:
    """An encoder that gives every text a random direction of its own."""

    name, embed_dim, image_size, logit_scale = "own", 48, (8, 8), 1.0
    device, fingerprint = torch.device("cpu"), "0"

    def encode_text(self, texts, *, batch_size=256):
        rows = [torch.randn(48, generator=seeded(zlib.crc32(text.encode()))) for text in texts]
        return unit_norm(torch.stack(rows))

    def unavailable(self, *args, **kwargs):
        raise NotImplementedError

    preprocess = encode_image = image_states = unavailable


def ask(number: int, answer: str, *, image: str | None = None, kind: str = "what") -> VqaItem:
    return VqaItem(
        str(number), image or f"image {number}", f"what is {number}?", answer, (answer,) * 10, kind
    )


CANDIDATES = AnswerList(tuple(f"answer {i}" for i in range(3_128)))
ITEMS = [ask(i, f"answer {7 * i}") for i in range(200)]
TRAINING = [ask(i, f"answer {i % 3}", image=f"train {i}") for i in range(10)]
CAPTIONS = {item.image_id: f"caption of {item.id}." for item in ITEMS}


def protocol_saying(table: dict[str, str], candidates: AnswerList = CANDIDATES) -> VqaProtocol:
    return VqaProtocol(Says(table), OwnVectors(), candidates)


def table_of(items, right) -> dict[str, str]:
    table = {}
    for item in items:
        table[answer_prompt(CAPTIONS[item.image_id], item.question)] = right(item)
        table[answer_prompt("", item.question)] = ""
    return table


def test_the_doubles_are_what_the_protocol_asks_for():
    assert isinstance(Says({}), PrefixLanguageModel)


def test_perfect_answers_are_all_right_and_silence_is_all_wrong():
    protocol = protocol_saying(table_of(ITEMS, lambda item: f" {item.answer}\nQuestion: more?"))
    report = evaluate_vqa(ITEMS, {"oracle": CAPTIONS}, protocol, training=TRAINING)
    for metric in ("top1", "top5", "top10", "any_top1", "soft", "written_soft"):
        assert report.scores["oracle"][metric].mean == 1.0
        assert report.scores["question_only"][metric].mean == 0.0
    assert report.empty == {"question_only": 200, "oracle": 0}
    assert report.retrieved["oracle"][3] == report.generated["oracle"][3] == "answer 21"
    assert report.coverage.mean == 1.0 and report.candidates == 3_128
    assert report.compare("oracle")["top1"].mean == 1.0
    assert {"question_only", "chance", "prior", "type_prior", "oracle"} == set(report.scores)


def test_chance_of_the_papers_list_is_what_the_brief_says():
    chance = score_chance(ITEMS, CANDIDATES)
    assert [round(100 * chance[f"top{k}"].score, 3) for k in (1, 5, 10)] == [0.032, 0.16, 0.32]
    assert chance["soft"].score == pytest.approx(1 / 3_128)


def test_random_answers_score_chance():
    candidates = AnswerList(tuple(f"answer {i}" for i in range(40)))
    people = ("answer 3",) * 6 + ("answer 4",) * 2 + ("odd", "answer 9")
    items = [VqaItem(str(i), str(i), "what?", f"answer {i % 50}", people) for i in range(1_500)]
    indices = torch.stack([torch.randperm(40, generator=seeded(i))[:10] for i in range(1_500)])
    drawn, chance = score_ranking(items, indices, candidates), score_chance(items, candidates)
    for metric, statistics in drawn.items():
        expected = chance[metric].score
        assert statistics.score == pytest.approx(expected, abs=4 * (expected / 1_500) ** 0.5)
    assert chance["top5"].score == pytest.approx(0.8 * 5 / 40)  # a fifth is not in the list


def test_answers_outside_the_list_count_as_wrong_and_are_reported():
    items = [ask(0, "answer 1"), ask(1, "unheard of")]
    table = table_of(items, lambda item: item.answer)
    report = evaluate_vqa(items, {"x": CAPTIONS}, protocol_saying(table), training=TRAINING)
    assert report.coverage.mean == 0.5 and report.scores["x"]["top10"].mean == 0.5
    assert report.scores["x"]["written_soft"].mean == 1.0


def test_the_prior_is_the_same_for_all_and_follows_the_training_answers():
    candidates = AnswerList(("a", "b", "c", "d"))
    training = [ask(i, answer, kind=kind) for i, (answer, kind) in enumerate(
        [("c", "how"), ("c", "how"), ("b", "is"), ("b", "is"), ("b", "is"), ("zebra", "is")]
    )]  # fmt: skip
    items = [ask(10, "b", kind="how"), ask(11, "c", kind="how"), ask(12, "b", kind="new")]
    prior = prior_ranking(items, training, candidates, top=3)
    assert prior.tolist() == [[1, 2, 0]] * 3
    assert score_ranking(items, prior, candidates)["top1"].score == pytest.approx(2 / 3)
    by_type = type_prior_ranking(items, training, candidates, top=3)
    assert by_type.tolist() == [[2, 1, 0], [2, 1, 0], [1, 2, 0]]


def test_ranks_come_from_cosines_and_ties_go_to_the_first():
    candidates = unit_norm(torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    answers = unit_norm(torch.tensor([[1.0, 0.1], [0.0, 1.0]]))
    assert rank_candidates(answers, candidates, top=3).tolist() == [[0, 2, 1], [3, 1, 0]]
    many = unit_norm(torch.randn(5_000, 6, generator=seeded(0)))
    few = unit_norm(torch.randn(30, 6, generator=seeded(1)))
    ranked = rank_candidates(many, few, top=10)
    in_parts = torch.cat([rank_candidates(part, few, top=10) for part in many.split(700)])
    assert (ranked == in_parts).float().mean() > 0.999
    assert (ranked[:, :1].flatten() == (many @ few.T).argmax(1)).all()
    turned = torch.linalg.qr(torch.randn(6, 6, generator=seeded(2))).Q
    agree = ranked == rank_candidates(unit_norm(many @ turned), unit_norm(few @ turned), top=10)
    assert agree.float().mean() > 0.999
    with pytest.raises(ValueError, match="answer_features must be unit-norm"):
        rank_candidates(2 * answers, candidates, top=1)
    with pytest.raises(ValueError, match="top is 5: wanted 1 to 4"):
        rank_candidates(answers, candidates, top=5)


def test_depths_of_a_ranking():
    items = [ask(i, "answer 5") for i in range(4)]
    row = list(range(100, 110))
    ranked = torch.tensor([[5, *row[1:]], [*row[:4], 5, *row[5:]], [*row[:9], 5], row])
    scores = score_ranking(items, ranked, CANDIDATES)
    assert [scores[f"top{k}"].score for k in (1, 5, 10)] == [0.25, 0.5, 0.75]


def test_types_are_scored_apart_and_add_up_to_the_whole():
    items = [ask(i, f"answer {i}", kind="is" if i < 3 else "how") for i in range(9)]
    said = ["answer 0", "answer 1", "", *["answer 3"] * 6]
    found = score_by_type(items, said)
    assert {kind: round(s.score, 3) for kind, s in found.items()} == {"is": 0.667, "how": 0.167}
    assert [len(s) for s in found.values()] == [3, 6]
    with pytest.raises(ValueError, match="8 retrieved answers for 9 questions"):
        score_by_type(items, said[1:])


def test_a_report_splits_every_row_but_chance_by_type():
    items = [ask(i, f"answer {i % 2}", kind="is" if i < 8 else "how") for i in range(20)]
    table = table_of(items, lambda item: item.answer if item.question_type == "is" else "answer 9")
    training = [ask(i, "answer 1", image=f"train {i}", kind="how") for i in range(5)]
    report = evaluate_vqa(items, {"x": CAPTIONS}, protocol_saying(table), training=training)
    found = report.by_type(items)
    assert set(found) == {"question_only", "x", "prior", "type_prior"}
    assert (found["x"]["is"].mean, found["x"]["how"].mean) == (1.0, 0.0)
    assert found["prior"]["how"].mean == 0.5 and found["prior"]["how"].n == 12
    total = sum(value.mean * value.n for value in found["prior"].values()) / len(items)
    assert total == pytest.approx(report.scores["prior"]["top1"].mean)
    with pytest.raises(ValueError, match="20 retrieved answers for 19 questions"):
        report.by_type(items[1:])


def test_borrowed_captions_are_all_there_and_none_is_at_home():
    own = {f"image {i}": f"caption {i}" for i in range(30)}
    dealt = borrowed_captions(own, generator=seeded(0))
    assert list(dealt) == list(own) and sorted(dealt.values()) == sorted(own.values())
    assert all(dealt[image] != own[image] for image in own)
    assert dealt == borrowed_captions(own, generator=seeded(0))
    assert dealt != borrowed_captions(own, generator=seeded(1))
    with pytest.raises(ValueError, match="got 1 captions: wanted at least 2"):
        borrowed_captions({"image": "caption"}, generator=seeded(0))


def test_any_of_ten_and_soft_accuracy_of_the_first_candidate():
    people = ("answer 1",) * 7 + ("answer 2",) * 2 + ("answer 3",)
    item = VqaItem("1", "1", "what?", "answer 1", people)
    ranked = torch.tensor([[2, 1, 0]])
    scores = score_ranking([item], ranked, CANDIDATES)
    assert scores["top1"].score == 0 and scores["top5"].score == 1
    assert scores["any_top1"].score == 1
    assert scores["soft"].score == soft_accuracy("answer 2", people) == pytest.approx(0.6)
    silent = score_ranking([item], torch.full((1, 3), NO_ANSWER), CANDIDATES)
    assert all(statistics.score == 0 for statistics in silent.values())


def test_intervals_resample_images_not_questions():
    items = [ask(i, "yes", image=f"image {i // 5}") for i in range(20)]
    statistics = per_image(items, [1.0] * 5 + [0.0] * 15)
    assert len(statistics) == 4 and statistics.score == 0.25


def test_prompts_of_the_paper_and_of_the_release():
    assert answer_prompt(" A dog. ", "What?") == "A dog. Question: What? Answer:"
    assert answer_prompt("", "What?") == "Question: What? Answer:"
    assert release_prompt("", "What?") == "Question: What? Short answer:"
    assert release_prompt("A dog.", "What?") == "A dog. Question: What? Short answer:"
    assert [first_line(text) for text in ("\n yes \nno", "", " \n ")] == ["yes", "", ""]


def test_each_prompt_is_answered_once_in_batches_and_put_back_in_order():
    model = Says({f"p{i}" * (i + 1): f"answer {i}\nmore" for i in range(5)})
    protocol = VqaProtocol(model, OwnVectors(), CANDIDATES, batch_size=2)
    prompts = [f"p{i}" * (i + 1) for i in (4, 0, 4, 2, 1, 0)]
    answers = generate_answers(protocol, prompts)
    assert answers == tuple(f"answer {i}" for i in (4, 0, 4, 2, 1, 0))
    assert [len(batch) for batch in model.asked] == [2, 2]
    with pytest.raises(ValueError, match="no prompts to answer"):
        generate_answers(protocol, [])


def test_an_answer_without_words_has_no_rank():
    protocol = protocol_saying({})
    features = OwnVectors().encode_text(CANDIDATES.answers)
    ranked = retrieve_answers(protocol, ["answer 7", "", "answer 7"], features)
    assert ranked[:, 0].tolist() == [7, NO_ANSWER, 7] and (ranked[1] == NO_ANSWER).all()
    with pytest.raises(ValueError, match="3 candidate features for 3128 candidates"):
        retrieve_answers(protocol, ["x"], features[:3])


@pytest.mark.parametrize(
    ("items", "captions", "training", "message"),
    [
        ([], {}, TRAINING, "got 0 questions and 10 training questions"),
        (ITEMS, {}, [], "got 200 questions and 0 training questions"),
        (ITEMS, {"prior": CAPTIONS}, TRAINING, r"\['prior'\] are rows of every report"),
        (ITEMS, {}, ITEMS[:3], "3 images are in both .* first 'image 0'"),
        (ITEMS, {"x": {}}, TRAINING, "'x' has no caption for 200 of 200 images"),
    ],
)
def test_tables_that_would_mislead_are_refused(items, captions, training, message):
    with pytest.raises(ValueError, match=message):
        evaluate_vqa(items, captions, protocol_saying({}), training=training)


def test_wrong_sizes_and_names_are_told():
    with pytest.raises(ValueError, match="batch_size is 0"):
        VqaProtocol(Says({}), OwnVectors(), CANDIDATES, batch_size=0)
    with pytest.raises(ValueError, match="1 ranked answers for 2 questions"):
        score_ranking(ITEMS[:2], torch.zeros(1, 10).long(), CANDIDATES)
    report = evaluate_vqa(
        ITEMS[:2], {}, protocol_saying(table_of(ITEMS[:2], str)), training=TRAINING
    )
    with pytest.raises(ValueError, match="no system 'maccap': wanted one of"):
        report.compare("maccap")
    row = report.rows()[0]
    assert set(row) == {"system", "metric", "mean", "low", "high", "n"}
    assert row["metric"] == "vqa_top1"


def test_drawn_questions_have_their_answers_in_the_list():
    items, candidates = drawn_vqa_items("second_test", 60), drawn_answer_list()
    assert all(item.answer in candidates.indices for item in items)
    assert {item.question_type for item in items} == {
        "presence", "count", "place", "colour", "relation",
    }  # fmt: skip
    assert len({item.id for item in items}) == len(items)
    assert drawn_vqa_items("second_test", 60) == items
    assert drawn_vqa_items("second_away_test", 3)[0].image_id == "second_away_test-00000"
    with pytest.raises(ValueError, match="got n=0"):
        drawn_vqa_items("second_test", 0)


def test_drawn_corpora_are_unique_repeatable_and_of_their_style():
    home, away = drawn_corpus("home", 400), drawn_corpus("away", 400)
    assert len(set(home.captions)) == len(home) == 400
    assert home == drawn_corpus("home", 400)
    assert drawn_corpus("home", 100).captions == home.captions[:100]
    assert all(image.startswith("second_away_train-") for image in away.image_ids)
    assert len(set(home.captions) & set(away.captions)) < 40
    with pytest.raises(ValueError, match=r"no style 'web': wanted one of \['away', 'home'\]"):
        drawn_corpus("web", 3)
    with pytest.raises(ValueError, match="got n=0"):
        drawn_corpus("home", 0)


@pytest.fixture(scope="module")
def drawn_protocol() -> VqaProtocol:
    model = build_drawn_lm(DrawnLMConfig(width=16, layers=1, heads=2), seed=3)
    language_model = CausalLM.from_model(model, drawn_lm_tokenizer(), "tiny")
    return VqaProtocol(
        language_model, load_drawn_clip(), drawn_answer_list(), prompt=drawn_prompt, batch_size=16
    )


def test_the_protocol_runs_on_a_real_language_model_and_a_real_clip(drawn_protocol):
    items = drawn_vqa_items("second_test", 6)
    captions = {item.image_id: "a dog on a lawn" for item in items}
    training = drawn_vqa_items("second_train", 40)
    report = evaluate_vqa(items, {"constant": captions}, drawn_protocol, training=training)
    assert report.questions == len(items) and report.coverage.mean == 1.0
    assert report.scores["prior"]["top1"].mean > report.scores["chance"]["top1"].mean
    assert set(report.retrieved["constant"]) <= {*drawn_answer_list().answers, ""}


def test_answers_do_not_depend_on_the_batch(drawn_protocol):
    prompts = [
        drawn_prompt("two dogs", item.question) for item in drawn_vqa_items("second_test", 4)
    ]
    alone = [generate_answers(drawn_protocol, [prompt])[0] for prompt in prompts]
    assert list(generate_answers(drawn_protocol, prompts)) == alone


def test_beams_answer_too(drawn_protocol):
    protocol = VqaProtocol(
        drawn_protocol.language_model,
        drawn_protocol.encoder,
        drawn_protocol.candidates,
        decoding=Beam(width=2, max_tokens=3),
    )
    assert len(generate_answers(protocol, ["what ?", "where is this ?"])) == 2
