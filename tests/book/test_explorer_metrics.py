"""Break the caption, watch the scores: what the page computes is what the package computes."""

from __future__ import annotations

import pytest
import torch
from explorer_pages import all_of
from selenium.webdriver.common.keys import Keys

from tools.explorer_data import LIVE
from tools.explorer_figures import stored, unit_rows
from tools.explorer_metrics import KINDS, SHOWN, SPLIT
from vizer_core.metrics import meteor
from vizer_core.metrics.bleu import bleu_counts, bleu_from_counts
from vizer_core.metrics.cider import cider, document_frequency
from vizer_core.metrics.clipscore import clipscores, refclipscores
from vizer_core.metrics.grounding import RATES
from vizer_core.metrics.ngrams import index_hypotheses, index_references
from vizer_core.metrics.rouge import rouge_l
from vizer_core.metrics.tokenize import tokenize, tokenize_captions
from vizer_lab.figures.marked import named_parts
from vizer_lab.studies.metric_sensitivity import BEFORE, edit_captions, score_texts
from vizer_lab.world import DrawnSplit
from vizer_lab.world.captions import home_captions
from vizer_lab.world.perturbations import statements
from vizer_lab.world.phrases import shared_lexicon

pytestmark = pytest.mark.timeout(300)

OWN = (
    *(
        "",
        "a",
        "on the",
        "a dog isn't a cat",
        "The dog's big orange hat, in the snow!",
        "two things",
    ),
    *("three small clocks and a big umbrella in a room", "an orange orange", "two red t-shirts."),
    *("some animals above a vehicle", "a mushroom left of an owl next to a pig", "a quokka" * 9),
)
SCORED = """
return arguments[0].map(([text, i]) => {
  const { unknown, ...found } = window.Explorers.score(text, i);
  return found;
})
"""


@pytest.fixture(scope="module")
def scenes():
    return DrawnSplit(SPLIT, len(stored("metrics")["references"])).scenes


def test_the_data_are_the_worlds_and_every_edit_is_there(scenes):
    data, edits = stored("metrics"), edit_captions(scenes)
    assert data["references"] == [list(home_captions(scene)) for scene in scenes]
    assert {name for kind in KINDS.values() for name in kind} == set(edits) - {BEFORE}
    assert len(data["scenes"]) == SHOWN
    for i, scene in enumerate(data["scenes"]):
        said = {name: text for name, (text, _) in scene["said"].items()}
        assert said == {
            name: edit.captions[i] for name, edit in edits.items() if edit.here[i] or name == BEFORE
        }


@pytest.mark.skipif(meteor.missing() is not None, reason="METEOR needs Java")
def test_the_stored_scores_of_meteor_are_its_own(scenes):
    edits = {n: e for n, e in edit_captions(scenes).items() if n in (BEFORE, "wrong_count")}
    references = [home_captions(scene) for scene in scenes]
    found = score_texts(edits, references, families=["meteor"])
    for i, scene in enumerate(stored("metrics")["scenes"]):
        for name in found:
            if name in scene["said"]:
                wanted = found[name]["meteor"].per_image[i]
                assert scene["said"][name][1] == pytest.approx(wanted, abs=1e-4)


@pytest.fixture(scope="module")
def frequency(scenes):
    """The document frequencies of CIDEr, of all scenes' references."""
    return document_frequency("all", [tokenize_captions(home_captions(s)) for s in scenes])


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """The image features that the page has."""
    packed = stored("scenes")
    return torch.from_numpy(unit_rows(packed["models"][LIVE]["x"], packed["n"])).float()


def package_scores(text: str, scene, frequency, image, encoder) -> dict[str, float]:
    """Score one caption of one scene by the package, with the rounded CLIP and features."""
    references = list(home_captions(scene))
    words, own = tokenize(text), tokenize_captions(references)
    index = index_references([own])
    bleu = bleu_from_counts(bleu_counts(index_hypotheses([words], index), index))
    with torch.no_grad():
        typed, held = encoder.encode_text([text]), encoder.encode_text(references)
    counts = statements(text, scene)
    said = {name: (getattr(counts, t), getattr(counts, s)) for name, (t, s) in RATES.items()}
    true = sum(t for name, (t, _) in said.items() if name != "object_recall")
    made = sum(s for name, (_, s) in said.items() if name != "object_recall")
    rate = {name: t / s if s else None for name, (t, s) in {**said, "all": (true, made)}.items()}
    return {
        "bleu4": float(bleu[0, 3]),
        "rougeL": float(rouge_l([words], [own])[0]),
        "cider": float(cider([words], [own], df=frequency)[0]),
        "clipscore": float(clipscores(image, typed)[0]),
        "refclipscore": float(
            refclipscores(image, typed, held, image_of=torch.zeros(len(held), dtype=torch.long))[0]
        ),
        "precision": rate["object_precision"],
        "recall": rate["object_recall"],
        "accuracy": rate["all"],
    }


def test_all_scores_in_the_page_equal_the_packages(opened, scenes, frequency, images, rounded_clip):
    _, encoder = rounded_clip
    data = stored("metrics")["scenes"]
    cases = [(text, i) for i in (0, 3, 7) for text in OWN]
    cases += [(text, i) for i in (3, 17, 41) for text, _ in data[i]["said"].values()]
    browser = opened("metrics")
    for (text, i), found in zip(cases, browser.execute_script(SCORED, cases)):
        wanted = package_scores(text, scenes[i], frequency, images[i : i + 1], encoder)
        for name, value in wanted.items():
            assert found[name] == pytest.approx(value, abs=1e-4), (text, i, name)


def test_every_caption_is_read_as_the_package_reads_it(opened, scenes):
    lexicon = shared_lexicon()
    data = stored("metrics")["scenes"]
    cases = [(text, i) for i in range(SHOWN) for text, _ in data[i]["said"].values()]
    browser = opened("metrics")
    found = browser.execute_script(
        """
        const { sensesOf, parse, check, parts } = window.Explorers.grounding;
        const { lexicon, scenes } = window.Explorers.data.metrics;
        const senses = sensesOf(lexicon);
        return arguments[0].map(([text, i]) => {
          const read = parse(text, senses);
          return [check(read, scenes[i]), parts(text, read, scenes[i])];
        })
        """,
        cases,
    )
    assert len(found) > 1000
    for (text, i), (checked, parts) in zip(cases, found):
        counts = statements(text, scenes[i])
        for kind in ("object", "attribute", "count", "relation", "background"):
            made = [s["isTrue"] for s in checked["statements"] if s["kind"] == kind]
            wanted = (getattr(counts, f"{kind}_said"), getattr(counts, f"{kind}_true"))
            assert (len(made), sum(made)) == wanted, (text, i, kind)
        assert (checked["found"], checked["there"]) == (counts.object_found, counts.object_there)
        marks = {True: 1, False: -1, None: 0}
        named = named_parts(text, scenes[i].truth, lexicon)
        wanted = [[part, marks[verdict]] for part, verdict in named]
        assert parts == wanted, (text, i)


def score_of(browser, name: str) -> str:
    """Return what the row of a metric says: its score and how it changed."""
    rows = {row.text.split("\n")[0]: row for row in all_of(browser, ".bars tbody tr")}
    row = next(row for words, row in rows.items() if words.startswith(name))
    return row.text.removeprefix(name).strip()


def test_an_edit_is_chosen_by_keyboard_and_its_address_opens_it_again(opened):
    browser = opened("metrics", "#metrics:image=7")
    before = score_of(browser, "CIDEr")
    assert before.endswith("0.00")
    pressed = all_of(browser, ".edits [aria-pressed=true]")
    assert [b.get_attribute("data-edit") for b in pressed] == [BEFORE]
    pressed[0].send_keys(Keys.ARROW_RIGHT)
    chosen = browser.switch_to.active_element
    assert chosen.get_attribute("data-edit") == "another_writer"
    assert chosen.get_attribute("aria-pressed") == "true"
    said = stored("metrics")["scenes"][7]["said"]["another_writer"][0]
    assert all_of(browser, "#metrics-text")[0].get_attribute("value") == said
    again = opened("metrics", "#" + browser.current_url.split("#")[1])
    assert score_of(again, "CIDEr") != before
    assert all_of(again, ".said")[0].text == said


def test_a_caption_of_ones_own_is_scored_at_once_without_meteor(opened):
    browser = opened("metrics", "#metrics:image=7")
    field = all_of(browser, "#metrics-text")[0]
    field.clear()
    field.send_keys("five clocks and a quokka in the snow")
    assert score_of(browser, "METEOR") == "\u2013"
    assert "needs Java" in all_of(browser, ".explorer")[0].text
    assert "quokka" in all_of(browser, "#metrics-unknown")[0].text
    false = [item.text.split(": ")[1] for item in all_of(browser, ".is-false")]
    assert false == ["5 clocks", "in the snow"]
    assert all_of(browser, ".edits [aria-pressed=true]") == []
    assert "text=five+clocks" in browser.current_url


def test_an_edit_without_a_place_is_disabled(opened):
    browser = opened("metrics", "#metrics:image=7")
    said = stored("metrics")["scenes"][7]["said"]
    for button in all_of(browser, ".edits button"):
        assert button.is_enabled() == (button.get_attribute("data-edit") in said)


def test_another_image_keeps_the_edit_and_is_chosen_by_arrow(opened):
    browser = opened("metrics", "#metrics:image=7&edit=generic")
    all_of(browser, ".strip [aria-pressed=true]")[0].send_keys(Keys.ARROW_RIGHT)
    assert "image=8" in browser.current_url and "edit=generic" in browser.current_url
    assert len(all_of(browser, ".strip button")) == SHOWN


def test_on_paper_the_still_figure_shows(opened):
    browser = opened("metrics")
    shown = "return getComputedStyle(document.querySelector(arguments[0])).display"
    both = (".explorer", ".still")
    assert [browser.execute_script(shown, each) for each in both] == ["block", "none"]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert [browser.execute_script(shown, each) for each in both] == ["none", "block"]
        assert "what shows without scripts" in all_of(browser, "[data-explorer]")[0].text
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
