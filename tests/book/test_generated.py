"""The generated pages: tables from result files, the list of chapters, the list of names."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import torch
from built_book import ROOT

from tools import explorers, generated, planning_page, readme_image, verdict_board, world_page
from tools.api_pages import folder_pages, index_markdown, public_names, write_api_pages
from vizer_core.files import save_tensors
from vizer_core.vlm.published import smolvlm_256m_config
from vizer_core.vlm.sizes import size_of
from vizer_lab.costs import DEVICES, zero_label_plan
from vizer_lab.costs.chapters import ROLLOUT
from vizer_lab.world.captions import captions_of
from vizer_lab.world.render import render_scenes


def test_a_notebook_is_listed_with_the_cost_of_its_outputs(tmp_path):
    cells = [{"cell_type": "markdown", "source": ["# The gap\n", "text"]}]
    stamp = {"profile": "micro", "seconds": 41.7, "device": "CPU"}
    notebook = {"cells": cells, "metadata": {"vizer": stamp}}
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_gap.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "notebooks" / "03_draft.ipynb").write_text("not in the book")
    (tmp_path / "_toc.yml").write_text("chapters:\n  - file: notebooks/02_gap\n")
    page = generated.notebooks_markdown(generated.chapters(tmp_path))
    assert "| [The gap](../notebooks/02_gap.ipynb) | micro | 42 s | CPU |" in page


def test_every_public_name_stands_on_the_page_of_its_folder_and_in_the_list():
    pages, index = folder_pages(ROOT / "vizer_core"), index_markdown(ROOT / "vizer_core")
    assert "pick_device(" in pages["vizer_core.md"]
    assert "measure_gap(" in pages["vizer_core_gap.md"]
    assert "_shapes_of" not in "".join(pages.values())
    for name, (page, place) in public_names(ROOT / "vizer_core").items():
        file = page.removeprefix("book/api/")
        assert f":name: {place}\n" in pages[f"{file}.md"], name
        assert f'<a href="api/{file}.html#{place}"><code>{name}</code></a>' in index


def test_a_name_that_several_files_have_is_listed_with_its_file(tmp_path):
    package = tmp_path / "some"
    package.mkdir()
    for file in ("a.py", "b.py"):
        (package / file).write_text(f"def f(): ...\ndef only_{file[0]}(): ...\n")
    named = re.findall(r"<code>(.*?)</code>", index_markdown(package))
    assert named == ["a.f", "b.f", "only_a", "only_b"]


def test_private_names_stay_off_the_page(tmp_path):
    package = tmp_path / "vizer_core"
    package.mkdir()
    (package / "a.py").write_text('"""A."""\ndef seen(self):\n  """S."""\ndef _hidden(): pass\n')
    page = folder_pages(package)["vizer_core.md"]
    assert "seen(self)" in page and "hidden" not in page


def test_a_folder_that_is_gone_leaves_no_page(tmp_path):
    package, pages = tmp_path / "some", tmp_path / "api"
    (package / "old").mkdir(parents=True)
    for file in ("a.py", "old/__init__.py", "old/b.py"):
        (package / file).write_text("def f(): ...\n")
    write_api_pages([package], pages, tmp_path / "api.md")
    assert {path.name for path in pages.iterdir()} == {"some.md", "some_old.md"}
    shutil.rmtree(package / "old")
    write_api_pages([package], pages, tmp_path / "api.md")
    assert {path.name for path in pages.iterdir()} == {"some.md"}
    assert "some_old" not in (tmp_path / "api.md").read_text()


def test_write_all_writes_the_pages_that_the_book_includes(tmp_path):
    for name in ("results", "notebooks"):
        (tmp_path / name).mkdir()
    for name in generated.PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "_toc.yml").write_text("root: book/index\n")
    scenes = explorers.data_file("scenes", ROOT).relative_to(ROOT)
    (tmp_path / scenes).parent.mkdir(parents=True)
    shutil.copy(ROOT / scenes, tmp_path / scenes)
    shutil.copy(ROOT / readme_image.FILE, tmp_path / readme_image.FILE)  # the index says it again
    generated.write_all(tmp_path)
    folder = tmp_path / "book" / "_generated"
    written = {path.name for path in folder.iterdir() if path.is_file()}
    assert (folder / verdict_board.FILE).is_file()
    assert "results.md" in written
    included = {
        line.split("_generated/")[1].strip()
        for page in (ROOT / "book").glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("```{") and "} _generated/" in line
    }
    pages_of_studies = {name for name in included if name.startswith("results_")}
    assert included - pages_of_studies == written


def test_the_contact_sheet_shows_the_scenes_in_order():
    scenes = world_page.first_scenes()
    sheet = world_page.contact_sheet(scenes)
    step = world_page.PIXELS + world_page.GAP
    assert sheet.size == (4 * step - world_page.GAP, 2 * step - world_page.GAP)
    fifth = sheet.crop((0, step, world_page.PIXELS, step + world_page.PIXELS))
    assert (np.asarray(fifth) == render_scenes(scenes[4:5], world_page.PIXELS)[0]).all()


def test_a_scene_is_shown_with_its_truth_and_all_captions():
    scene = world_page.first_scenes()[0]
    page = world_page.scene_markdown(scene)
    assert all(f"- {caption}" in page for caption in captions_of(scene))
    assert all(f"| {thing.name} | {thing.size} |" in page for thing in scene.objects)


def test_the_scores_of_the_shipped_models_come_from_their_manifests(tmp_path):
    manifest = {"name": "drawn-clip", "scores": {"i2t_r1": 0.5125, "gap_norm": 0.4}}
    (tmp_path / "drawn-clip.json").write_text(json.dumps(manifest))
    page = world_page.models_markdown(tmp_path)
    assert page.splitlines()[0] == "| score | `drawn-clip` |"
    assert "| `i2t_r1` | 0.512 |" in page and "| `gap_norm` | 0.400 |" in page


def test_scores_of_one_kind_share_a_table_and_bases_have_their_own(tmp_path):
    clip, other = {"i2t_r1": 0.5}, {"i2t_r1": 0.25}
    made = {"a": clip, "b": other, "lm": {"nats": 1.5}, "drawn-vlm-web": {"exact": 1.0}}
    for name, scores in made.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name, "scores": scores}))
    clips, lm = world_page.models_markdown(tmp_path).split("\n\n")
    assert clips.splitlines()[0] == "| score | `a` | `b` |"
    assert clips.splitlines()[-1] == "| `i2t_r1` | 0.500 | 0.250 |"
    assert lm.splitlines()[0] == "| score | `lm` |"


def test_the_tables_of_bases_give_rates_with_intervals_and_shares(tmp_path, monkeypatch):
    scores = {f"object_{kind}": 0.5 for kind in ("precision", "recall")}
    scores |= {f"sampled_{key}": 0.25 for key in scores} | {"first_word": 0.125}
    claimed = [f"{kind}_{what}" for kind in ("relation", "count") for what in ("accuracy", "said")]
    scores |= dict.fromkeys(claimed, 0.75)
    manifest = {
        "scores": scores,
        "intervals": {"object_precision": [0.4, 0.6], "object_recall": [0.45, 0.55]},
        "recipe": {"seed": 7},
        "cpu_seconds": {"tower": 60.0, "exact": 120.0},
    }
    monkeypatch.setattr(world_page, "LACKS", {"drawn-vlm-other-x": "nothing"})
    save_tensors(tmp_path / "drawn-vlm-other-x.safetensors", {"w": torch.zeros(1)}, manifest)
    made, says, drawn = (
        part.splitlines()[-1] for part in world_page.bases_markdown(tmp_path).split("\n\n")
    )
    assert made == "| `drawn-vlm-other-x` | nothing | 7 | 3 |"
    assert says.startswith("| other-x | 0.500<br>[0.40, 0.60] | 0.500<br>[0.45, 0.55] |")
    assert says.endswith("| 0.75<br>in 75% | 0.75<br>in 75% |")
    assert drawn == "| other-x | 0.250 | 0.250 | 0.125 |"


def test_prices_are_of_as_many_images_at_once_as_fit():
    h100, size = DEVICES["H100 SXM"], size_of(smolvlm_256m_config())
    plan = planning_page._fitting_plan(size, 10_000, h100)
    step = replace(ROLLOUT, batch=128, head=True, kl=True, merged=True)
    assert plan == zero_label_plan(size, 10_000, step=step) and plan.memory <= h100.memory
    assert f"up to {planning_page.BATCHES[0]}," in (ROOT / "book" / "planning.md").read_text()
