"""The explorers, driven in Chromium: by hand and by keyboard, at two widths, light and dark."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from built_book import ROOT
from explorer_pages import EXPLORERS, FAULTS, all_of
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tools.explorer_data import LIVE
from tools.explorer_figures import TYPED, stored, unit_rows
from tools.explorer_words import MODEL
from tools.explorers import DATA, stamp, stored_stamp
from tools.verdict_board import VERDICTS, board_data, claim_id, evidence_parts, study_data
from vizer_core.gap.shift import shift_modalities
from vizer_lab.figures.sketch import DARK, LIGHT
from vizer_lab.studies import open_vlm_study
from vizer_lab.studies.clip_study import open_drawn
from vizer_lab.world.world import make_scene

pytestmark = pytest.mark.timeout(300)

WIDTHS = {"desktop": 1300, "phone": 400}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("name", EXPLORERS)
def test_an_explorer_is_drawn_and_legible(opened, name, width, theme):
    browser = opened(name, width=width, theme=theme)
    (place,) = all_of(browser, "[data-explorer]")
    assert place.get_attribute("data-state") == "ready"
    assert "what shows without scripts" not in place.text
    assert browser.execute_script(FAULTS) == []
    assert [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_an_explorer_that_fails_leaves_the_static_figure(opened, pages):
    kit = pages / "_static" / "explorers" / "kit.js"
    kept = kit.read_text()
    kit.write_text("throw new Error('on purpose')")
    try:
        browser = opened("verdicts")
    finally:
        kit.write_text(kept)
    (place,) = all_of(browser, "[data-explorer]")
    assert place.get_attribute("data-state") == "failed"
    assert place.text == "what shows without scripts"


def test_explorers_have_the_colours_of_the_diagrams():
    css = (ROOT / "book" / "_static" / "explorers" / "explorers.css").read_text()
    light, dark = css.split('html[data-theme="dark"] .explorer {')
    for part, colours in ((light, LIGHT), (dark, DARK)):
        for role, (ink, tint) in colours.items():
            assert f"--{role}: {ink.lower()};" in part and f"--{role}-tint: {tint.lower()};" in part


def test_the_board_has_a_tile_for_every_claim_and_the_true_totals(opened):
    data = board_data(ROOT)
    claims = [claim for study in data for claim in study["claims"]]
    browser = opened("verdicts")
    assert len(all_of(browser, ".tile")) == len(claims) == len({c["id"] for c in claims})
    totals = [b.text.split()[0] for b in all_of(browser, ".total")]
    counts = [sum(c["verdict"] == verdict for c in claims) for verdict in VERDICTS]
    assert totals == [str(n) for n in (len(claims), *counts)]
    files = [json.loads(file.read_text()) for file in (ROOT / "results").glob("*.json")]
    assert len(claims) == sum(len(result.get("claims", [])) for result in files)


def test_a_claim_is_opened_by_keyboard_and_its_address_opens_it_again(opened):
    browser = opened("verdicts")
    groups = [g.find_elements(By.CSS_SELECTOR, ".tile") for g in all_of(browser, ".tiles")]
    first, second = next(tiles for tiles in groups if len(tiles) > 1)[:2]
    assert (first.get_attribute("tabindex"), second.get_attribute("tabindex")) == ("0", "-1")
    first.send_keys(Keys.ARROW_RIGHT)
    (shown,) = all_of(browser, ".claim")
    assert shown.text == second.get_attribute("title")
    assert browser.switch_to.active_element == second
    assert all_of(browser, ".panel .links a")[0].get_attribute("href") == browser.current_url
    state = "#" + browser.current_url.split("#")[1]
    again = opened("verdicts", state)
    assert all_of(again, ".claim")[0].text == shown_text(again, ".tile[aria-pressed=true]")


def shown_text(browser, selector: str) -> str:
    """Return the claim that a tile stands for."""
    return all_of(browser, selector)[0].get_attribute("title")


def test_verdict_and_words_leave_only_their_claims(opened):
    browser = opened("verdicts")
    all_of(browser, ".total.verdict-1")[0].click()
    all_of(browser, "#verdict-words")[0].send_keys("CIDEr")
    open_tiles = [t for t in all_of(browser, ".tile") if t.is_enabled()]
    wanted = [
        claim
        for study in board_data(ROOT)
        for claim in study["claims"]
        if claim["verdict"] == "does not hold"
        and "cider" in f"{claim['claim']} {claim['source']} {study['title']}".lower()
    ]
    assert len(open_tiles) == len(wanted) > 0
    assert f"{len(wanted)} of" in all_of(browser, "[role=status]")[0].text


def test_scores_are_sorted_by_what_is_asked(opened):
    browser = opened("verdicts")
    all_of(browser, ".scores summary")[0].click()
    WebDriverWait(browser, 30).until(lambda b: all_of(b, ".scores tbody td"))

    def means() -> list[float]:
        cells = all_of(browser, ".scores tbody td:nth-of-type(2)")
        return [float(cell.text.replace("\u2212", "-")) for cell in cells]

    found = means()
    assert len(found) > 3 and found == sorted(found, reverse=True)
    all_of(browser, ".scores th button")[2].click()
    assert means() == sorted(means()) and means() != found
    assert all_of(browser, ".scores th[aria-sort=ascending]")[0].text.startswith("mean")


def test_numbers_of_the_evidence_are_read_to_the_digit():
    text = "drawn, 1 seeds: object F1 \u22120.010 [-0.020, +0.005]. cls 0.5 [0.4, 0.6] (n = 9)"
    assert evidence_parts(text) == [
        ["drawn, 1 seeds: object F1", -0.01, -0.02, 0.005, True],
        ["cls (n = 9)", 0.5, 0.4, 0.6, False],
    ]


def test_two_claims_in_the_same_words_keep_names_of_their_own(tmp_path):
    claim = {"claim": "fast", "verdict": "holds", "source": "us", "evidence": "2"}
    made = study_data("speed", {"experiment": "speed", "claims": [claim, claim]}, tmp_path)
    assert [c["id"] for c in made["claims"]] == [claim_id("speed", "fast"), "speed-fast-2"]


# --- close the gap ---------------------------------------------------------------------------


def numbers_of(browser) -> list[float]:
    """Return what the tiles of the gap explorer say."""
    found = [tile.text for tile in all_of(browser, ".number b")]
    return [float(text.rstrip("%").replace("\u2212", "-")) for text in found]


@pytest.mark.parametrize("model", ["drawn-clip", "drawn-clip-50", "drawn-clip-100"])
def test_the_gap_explorer_measures_what_the_package_measures(opened, model):
    scenes = stored("scenes")
    x, t = (
        torch.from_numpy(unit_rows(scenes["models"][model][key], scenes["n"])) for key in ("x", "t")
    )
    delta = round(float((t.mean(0) - x.mean(0)).norm()), 2)
    browser = opened("gap", f"#gap:model={model}")
    for shift in (0.0, delta):
        if shift:
            browser.execute_script(
                "const s = document.getElementById('gap-delta'); s.step = 0.01; "
                f"s.value = {shift}; s.dispatchEvent(new Event('input'))"
            )
        pair = shift_modalities(x, t, shift)
        a, b = pair.image_features, pair.text_features
        cosines = a @ b.T
        wanted = [
            float((b.mean(0) - a.mean(0)).norm()),
            float(cosines.diagonal().mean()),
            float((a * a.roll(-1, dims=0)).sum(1).mean()),
            100 * float((cosines <= cosines.diagonal()[:, None]).all(1).float().mean()),
        ]
        found = numbers_of(browser)
        assert found[:3] == pytest.approx(wanted[:3], abs=0.006)
        assert found[3] == pytest.approx(wanted[3], abs=0.6)


def test_the_gap_is_closed_by_a_button_and_the_state_is_in_the_address(opened):
    browser = opened("gap")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]},
    )
    gap, own, _, first = numbers_of(browser)
    all_of(browser, ".controls button")[1].click()
    closed = numbers_of(browser)  # at once: motion is not wanted
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert closed[0] < gap / 4 and closed[1] > own + 0.3 and closed[3] <= first
    assert "delta=0." in browser.current_url
    again = opened("gap", "#" + browser.current_url.split("#")[1])
    assert numbers_of(again) == closed


def test_another_image_is_chosen_by_its_button(opened):
    browser = opened("gap", "#gap:image=199")
    first = all_of(browser, ".side .thumb")[0].get_attribute("aria-label")
    browser.find_element(By.CSS_SELECTOR, "[aria-label='the next image']").send_keys(Keys.ENTER)
    second = all_of(browser, ".side .thumb")[0].get_attribute("aria-label")
    assert first != second and "image=0" in browser.current_url


# --- a CLIP in the page ----------------------------------------------------------------------

TEXTS = ["a robot in the sea", "two red crabs, a kite and a t-shirt on a quokka", "", "a " * 40]
ENCODED = """
const E = window.Explorers;
const clip = E.clip;
return {
  texts: arguments[0].map((text) => Array.from(clip.encodeText(text))),
  images: arguments[1].map((pixels) => Array.from(clip.encodeImage(pixels, 112))),
}
"""


def test_both_towers_in_the_page_equal_torch(opened, rounded_clip):
    study, rounded = rounded_clip
    pixels = [np.asarray(image.convert("RGBA")).reshape(-1).tolist() for image in study.images]
    browser = opened("clip")
    found = browser.execute_script(ENCODED, TEXTS, pixels)
    with torch.no_grad():
        texts = rounded.encode_text(TEXTS)
        images = rounded.image_states(study.images).image_features
    assert torch.allclose(torch.tensor(found["texts"]), texts, atol=1e-4)
    assert torch.allclose(torch.tensor(found["images"]), images, atol=1e-4)
    exact = study.encoder.image_states(study.images).image_features
    assert float((exact * images).sum(1).min()) > 0.999  # rounding hardly turns a feature
    exact = study.encoder.encode_text(TEXTS[:2])
    assert float((exact * texts[:2]).sum(1).min()) > 0.999


def test_a_typed_caption_sorts_the_images_and_unknown_words_are_named(opened):
    browser = opened("clip")
    before = [item.get_attribute("data-i") for item in all_of(browser, ".grid li")]
    field = all_of(browser, "#clip-text")[0]
    field.clear()
    field.send_keys("two quokkas on a street")
    assert "quokkas" in all_of(browser, "#clip-unknown")[0].text
    after = [item.get_attribute("data-i") for item in all_of(browser, ".grid li")]
    assert len(after) == 12 and after != before
    values = [float(v.text.replace("\u2212", "-")) for v in all_of(browser, ".grid .value")]
    assert values == sorted(values, reverse=True)


def test_the_sea_comes_before_the_robot():
    """What the explorer starts with, and what the chapter says of it."""
    scenes = stored("scenes")
    typed = open_drawn(LIVE, n=1).encoder.encode_text([TYPED])[0].numpy()
    cosines = unit_rows(scenes["models"][LIVE]["x"], scenes["n"]) @ typed
    first = [make_scene("second_test", i) for i in np.argsort(-cosines)[:5].tolist()]
    assert all(scene.place == "sea" for scene in first)
    assert not any(thing.name == "robot" for scene in first for thing in scene.objects)


def said_of_the_scene(browser) -> str:
    return all_of(browser, ".composer .side")[0].text


def test_a_scene_is_composed_by_keyboard(opened):
    browser = opened("clip")
    WebDriverWait(browser, 30).until(lambda b: "the robot adds" in said_of_the_scene(b))
    before = said_of_the_scene(browser)
    canvas = all_of(browser, "canvas")[0]
    canvas.send_keys("n", Keys.DELETE)
    WebDriverWait(browser, 30).until(lambda b: "the dog" not in said_of_the_scene(b))
    assert said_of_the_scene(browser) != before
    browser.find_element(By.CSS_SELECTOR, "[aria-label='add: pizza']").send_keys(Keys.ENTER)
    WebDriverWait(browser, 30).until(lambda b: "the pizza adds" in said_of_the_scene(b))


# --- what words owe to the image -------------------------------------------------------------


def ranking(browser) -> list[str]:
    """Return the kinds of caption, the best first."""
    return [kind.text for kind in all_of(browser, ".ranked .kind")]


def test_the_weight_ranks_by_what_words_owe_to_the_image(opened):
    images = stored("words")["images"]
    for weight in (0.0, 1.0):
        browser = opened("words", f"#words:image=2&w={weight:g}")
        wanted = sorted(
            images[2], key=lambda c: weight * sum(c["none"]) - sum(c["right"]), reverse=True
        )
        assert ranking(browser) == [caption["kind"] for caption in wanted]
    generic = [[c for c in captions if c["kind"] == "fits any image"] for captions in images]
    person = [[c for c in captions if c["kind"] == "a person"] for captions in images]
    owed = [[sum(c["none"]) - sum(c["right"]) for (c,) in kind] for kind in (person, generic)]
    assert np.mean(owed[0]) > np.mean(owed[1]) + 1


def test_a_caption_is_chosen_by_keyboard_and_keeps_the_focus(opened):
    browser = opened("words")
    second = all_of(browser, ".ranked button")[1]
    kind = second.find_element(By.CSS_SELECTOR, ".kind").text
    second.send_keys(Keys.ENTER)
    focused = browser.switch_to.active_element
    assert focused.get_attribute("aria-pressed") == "true" and kind in focused.text
    chosen = next(c for c in stored("words")["images"][0] if c["kind"] == kind)
    said = [cell.text.split()[0] for cell in all_of(browser, ".tinted tr:first-child .word")]
    assert said == [word or "(end)" for word in chosen["words"]]
    all_of(browser, ".thumbs button")[0].send_keys(Keys.ARROW_RIGHT)
    assert "image=1" in browser.current_url


def test_the_stored_nats_are_the_models():
    from vizer_core.vlm import surprisal

    study = open_vlm_study(MODEL, test=2)
    kept = stored("words")["images"]
    captions = [next(c for c in image if c["kind"] == "a person") for image in kept]
    said = ["".join(part for part, _ in caption["parts"]) for caption in captions[:2]]
    nats = surprisal.surprisal_with_image(study.vlm, study.test_vision, study.vlm.tokenize(said))
    for row, caption in zip(nats.tolist(), captions):
        assert caption["right"] == pytest.approx(row[: len(caption["right"])], abs=0.02)


# --- data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA)
def test_stored_data_are_those_of_the_shipped_models(name):
    assert stored_stamp(name) == stamp(name), f"python -m tools.explorers {name}"


def test_the_scenes_are_the_worlds_and_their_features_the_models():
    scenes = stored("scenes")
    for model, pair in scenes["models"].items():
        study = open_drawn(model, n=8)
        assert scenes["texts"][:8] == list(study.texts)
        exact = {
            "x": study.encoder.image_states(study.images).image_features,
            "t": study.encoder.encode_text(list(study.texts)),
        }
        for key, features in exact.items():
            rows = unit_rows(pair[key], scenes["n"])[:8]
            assert (rows * features.detach().numpy()).sum(axis=1).min() > 0.9995


def test_what_all_explorers_weigh():
    folder = ROOT / "book" / "_static" / "explorers"
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    data = sum(size for name, size in sizes.items() if name.endswith("_data.js"))
    code = sum(size for name, size in sizes.items() if not name.endswith(("_data.js", ".svg")))
    assert data < 3_000_000 and code < 90_000, sizes
