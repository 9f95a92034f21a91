"""The notebook tools on small notebooks: running, stamping, and each rule broken once."""

from __future__ import annotations

import base64
import copy
import json
import shutil
import struct
import zlib

import nbformat
import pytest
from probe import ALT, probe_notebook

from tools import notebooks
from tools.notebook_cells import (
    chapter_of,
    normalise,
    number_cells,
    strip_png,
    write_colab_cell,
    write_cost_table,
    write_setup_cell,
)
from tools.notebook_rules import check_notebook
from tools.stamps import (
    code_sha256,
    core_sha256,
    dependencies,
    imported_modules,
    unwatched,
    watched,
)

NAME = "01_probe.ipynb"


def png(*texts: bytes) -> bytes:
    """Return a PNG of one white pixel, with text chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(b"\0\xff"))
    extra = b"".join(chunk(b"tEXt", text) for text in texts)
    return b"\x89PNG\r\n\x1a\n" + head + extra + pixel + chunk(b"IEND", b"")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with packages of a few files and an empty folder of notebooks."""
    (tmp_path / "vizer_core" / "gap").mkdir(parents=True)
    (tmp_path / "vizer_lab" / "zoo" / "weights").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    files = {
        "vizer_core/__init__.py": "",
        "vizer_core/shapes.py": "UNIT_NORM_TOLERANCE = 1e-3\n",
        "vizer_core/shipped.py": "",
        "vizer_core/gap/__init__.py": "",
        "vizer_core/gap/stats.py": "from vizer_core.shapes import UNIT_NORM_TOLERANCE\n",
        "vizer_lab/__init__.py": "",
        "vizer_lab/zoo/__init__.py": "",
        "vizer_lab/zoo/loaders.py": "from vizer_core.gap import stats",
        "vizer_lab/zoo/weights/clip.json": "{}",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def stored(checkout):
    """A stamped notebook that keeps every rule, without having been run."""
    notebook = normalise(write_setup_cell(probe_notebook(), None), NAME)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["execution_count"] = number
    code[1]["outputs"] = [nbformat.v4.new_output("stream", text="0.001 of 40\n")]
    image = base64.b64encode(png()).decode()
    code[2]["outputs"] = [nbformat.v4.new_output("display_data", {"image/png": image})]
    return notebooks.stamped(notebook, checkout, 1.0, {})


def faults_of(notebook, checkout, name=NAME):
    path = checkout / "notebooks" / name
    nbformat.write(notebook, path)
    return check_notebook(path, notebook, checkout)


def test_a_notebook_that_keeps_the_rules_has_no_faults(stored, checkout):
    assert faults_of(stored, checkout) == []


def code_cell(notebook, number):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][number]


def restamp(notebook, checkout):
    return notebooks.stamped(notebook, checkout, 1.0, {})


def set_source(notebook, source):
    code_cell(notebook, 1)["source"] = source


BREAKS = {
    "its code has changed": lambda nb: set_source(nb, "print(2)"),
    "wanted 'micro'": lambda nb: nb["metadata"]["vizer"].update(profile="full"),
    "no stamp": lambda nb: nb["metadata"].pop("vizer"),
    "line 1 has 80 characters": lambda nb: set_source(nb, "x" * 80),
    "26 lines: wanted at most 25": lambda nb: set_source(nb, "\n".join(["x = 1"] * 26)),
    "class A: wanted it in a package": lambda nb: set_source(nb, "class A:\n    pass"),
    "def f has 11 statements": lambda nb: set_source(nb, "def f():\n" + "    x = 1\n" * 11),
    "28 lines: wanted": lambda nb: set_source(nb, "x = [\n" + "    1,\n" * 27 + "]"),
    "wanted 1, 2, 3": lambda nb: code_cell(nb, 2).update(execution_count=7),
    "stored error ValueError": lambda nb: code_cell(nb, 0).update(
        outputs=[nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]
    ),
    "figure with alt text ''": lambda nb: code_cell(nb, 2).update(metadata={}),
    "memory address": lambda nb: code_cell(nb, 1).update(
        outputs=[nbformat.v4.new_output("stream", text="<f at 0x7f12ab34cd>")]
    ),
    "wanted the title": lambda nb: nb["cells"][0].update(source="No title"),
    "no claim": lambda nb: nb["cells"][0].update(source="# Title"),
    r"missing sections \['One example'\]": lambda nb: nb["cells"][3].update(source="Hello."),
    "sections in the order": lambda nb: nb["cells"].insert(2, nb["cells"].pop(4)),
    "2 exercises and 2 folded": lambda nb: nb["cells"][-1].update(
        source=nb["cells"][-1]["source"]
        .replace("### Exercise 3", "###")
        .replace("<details>", "", 1)
    ),
    "no cell with the tag 'headline'": lambda nb: code_cell(nb, 1).update(metadata={}),
    "role '{term}`'": lambda nb: nb["cells"][3].update(source="## One example\n\n{term}`gap`"),
    "formulas are not numbered in their order": lambda nb: nb["cells"][3].update(
        source="## One example\n\n$$x \\tag{1.1}$$\n\n$$y \\tag{1.3}$$"
    ),
    r"formula \(1.2\): wanted one of 1": lambda nb: nb["cells"][3].update(
        source="## One example\n\n$$x \\tag{1.1}$$\n\nSee formula (1.1), or formula (1.2)."
    ),
    "image without a description": lambda nb: nb["cells"][3].update(
        source="## One example\n\n![](x.png)"
    ),
}


@pytest.mark.parametrize("wanted", BREAKS)
def test_each_broken_rule_is_named(wanted, stored, checkout):
    BREAKS[wanted](stored)
    faults = faults_of(stored, checkout)
    assert any(wanted.replace("\\", "") in fault for fault in faults), faults
    assert all(fault.startswith(f"{NAME}: ") for fault in faults)


def test_a_file_that_is_too_large_or_badly_named_is_named(stored, checkout):
    code_cell(stored, 1)["outputs"][0]["text"] = "1" * 500_001
    faults = faults_of(stored, checkout, name="Probe.ipynb")
    assert any("wanted two digits" in fault for fault in faults)
    assert any("wanted at most 500,000" in fault for fault in faults)


def test_a_concept_may_be_defined_in_its_cell(stored, checkout):
    set_source(stored, "class Gap:\n    pass")
    code_cell(stored, 1)["metadata"]["tags"] = ["headline", "concept"]
    assert faults_of(restamp(stored, checkout), checkout) == []


def test_only_files_that_the_notebook_imports_count(stored, checkout):
    package = checkout / "vizer_core"
    before = core_sha256(stored, checkout)
    (package / "gap" / "stats.py").write_text("changed = 1\n")
    assert core_sha256(stored, checkout) == before
    (package / "shapes.py").write_text('"""Shapes."""\nUNIT_NORM_TOLERANCE = 1e-3  # of a norm\n')
    assert core_sha256(stored, checkout) == before, "prose may change"
    (package / "shapes.py").write_text("UNIT_NORM_TOLERANCE = 2\n")
    assert core_sha256(stored, checkout) != before
    assert any("vizer_lab has changed" in fault for fault in faults_of(stored, checkout))


def test_imports_are_followed_and_weights_count(checkout):
    def names(source):
        return [p.relative_to(checkout).as_posix() for p in dependencies([source], checkout)]

    assert names("import vizer_core.gap.stats") == [
        "vizer_core/__init__.py",
        "vizer_core/gap/__init__.py",
        "vizer_core/gap/stats.py",
        "vizer_core/shapes.py",
    ]
    assert "vizer_lab/zoo/weights/clip.json" in names("from vizer_lab.zoo import loaders")
    assert "vizer_core/gap/stats.py" in names("from vizer_lab.zoo import loaders")


def test_what_is_shipped_counts_where_it_is_asked_for(checkout):
    found = dependencies(["import vizer_core.shipped"], checkout)
    assert checkout / "vizer_lab/zoo/weights/clip.json" in found
    lab = notebooks.ROOT / "vizer_lab/zoo/clips.py"
    assert lab in dependencies(["!vizer gap --help"], notebooks.ROOT)


def test_lazy_imports_and_the_command_line_count_as_imports():
    assert imported_modules('f("vizer_core.gap")') == {"vizer_core.gap"}
    assert imported_modules("%matplotlib inline\nimport os") == set()
    cli = notebooks.ROOT / "vizer_core" / "cli" / "gap.py"
    assert cli in dependencies(["!vizer gap --help"], notebooks.ROOT)
    assert cli not in dependencies(["from vizer_core.gap import measure_gap"], notebooks.ROOT)
    jobs = notebooks.ROOT / "vizer_core" / "jobs.py"
    assert jobs in dependencies(["import vizer_core as vc"], notebooks.ROOT)
    assert jobs not in dependencies(["from vizer_core.gap import measure_gap"], notebooks.ROOT)


@pytest.mark.filterwarnings("default")
def test_results_that_a_run_has_read_are_stamped(stored, checkout):
    (checkout / "results").mkdir()
    for name in "ab":
        (checkout / "results" / f"{name}.json").write_text("1")
    reader = nbformat.v4.new_code_cell("open('../results/a.json').read()")
    notebook = nbformat.v4.new_notebook(cells=[reader])
    ran, _ = notebooks.execute(watched(notebook), checkout / "notebooks")
    fresh, read = unwatched(ran, checkout)
    (cell,) = fresh["cells"]
    assert cell["execution_count"] == cell["outputs"][0]["execution_count"] == 1
    assert list(read) == ["a.json"]
    stored["metadata"]["vizer"]["results"] = read
    assert faults_of(stored, checkout) == [] and not notebooks.is_stale(stored, checkout)
    (checkout / "results" / "b.json").write_text("2")
    assert faults_of(stored, checkout) == []
    (checkout / "results" / "a.json").write_text("2")
    assert "a.json changed since it was read" in faults_of(stored, checkout)[0]
    assert notebooks.is_stale(stored, checkout)


def test_a_chapter_is_run_again_for_other_code_or_other_packages(stored, checkout):
    path = checkout / "notebooks" / NAME
    nbformat.write(stored, path)
    nbformat.write(restamp(notebooks.read(path), checkout), path)
    assert notebooks.chapters_to_run(checkout) == []
    other = notebooks.read(path)
    other["metadata"]["vizer"]["packages"]["torch"] = "0.1"
    nbformat.write(other, path)
    assert notebooks.chapters_to_run(checkout) == [1]
    other["metadata"]["vizer"] = {}
    nbformat.write(other, path)
    assert notebooks.chapters_to_run(checkout) == [1]


def test_prose_does_not_change_the_code_hash(stored):
    before = code_sha256(stored)
    stored["cells"][0]["source"] += " More."
    assert code_sha256(stored) == before


def test_cell_ids_stay_when_a_cell_is_put_between():
    notebook = normalise(probe_notebook(), NAME)
    old = [cell["id"] for cell in notebook["cells"]]
    assert old[0] == "nb01-c01"
    notebook["cells"].insert(2, nbformat.v4.new_markdown_cell("new"))
    number_cells(notebook, "01")
    new = [cell["id"] for cell in notebook["cells"]]
    assert new[:2] + new[3:] == old and new[2] == f"nb01-c{len(old) + 1:02d}"


def test_lone_brackets_do_not_make_a_cell_long(stored, checkout):
    set_source(stored, "x = [\n" + "    [\n    ],\n" * 24 + "]")
    assert faults_of(restamp(stored, checkout), checkout) == []


def test_code_is_formatted_before_it_runs(checkout):
    path = checkout / "notebooks" / NAME
    notebook = normalise(probe_notebook(), NAME)
    set_source(notebook, "import sys\nimport os\nx={'a':1}")
    nbformat.write(notebook, path)
    notebooks.tidy(path)
    wanted = 'import os\nimport sys\n\nx = {"a": 1}'
    assert code_cell(nbformat.read(path, 4), 1)["source"] == wanted


def test_images_lose_text_chunks_and_stay_images():
    assert strip_png(png(b"Software\0matplotlib", b"Date\0now")) == png()
    with pytest.raises(ValueError, match="not a PNG"):
        strip_png(b"GIF89a")


def test_progress_bars_and_timing_are_not_stored():
    notebook = probe_notebook()
    cell = code_cell(notebook, 1)
    cell["metadata"]["execution"] = {"iopub.execute_input": "2020"}
    cell["outputs"] = [
        nbformat.v4.new_output("stream", name="stderr", text="100%"),
        nbformat.v4.new_output(
            "display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": ""}
        ),
        nbformat.v4.new_output("stream", name="stdout", text="kept"),
    ]
    cell = code_cell(normalise(notebook, NAME), 1)
    assert [output["text"] for output in cell["outputs"]] == ["kept"]
    assert cell["metadata"] == {"tags": ["headline"]}


def test_formulas_are_numbered_anew_and_only_in_text():
    cells = [
        nbformat.v4.new_markdown_cell("$$a \\tag{1.7}$$ and $b$\n\n$$\nc,\n$$"),
        nbformat.v4.new_code_cell("text = '$$d$$'"),
    ]
    once = normalise(nbformat.v4.new_notebook(cells=cells), NAME)
    text = "$$a \\tag{1.1}$$ and $b$\n\n$$\nc, \\tag{1.2}$$"
    assert [cell["source"] for cell in once["cells"]] == [text, "text = '$$d$$'"]
    assert normalise(once, NAME)["cells"][0]["source"] == text


def test_the_setup_cell_fetches_the_package_only_if_there_is_an_address():
    bare = probe_notebook()
    bare["cells"] = [
        cell for cell in bare["cells"] if "setup" not in cell["metadata"].get("tags", [])
    ]
    with_address = write_setup_cell(bare, "https://github.com/a/b")
    setup = code_cell(with_address, 0)
    assert "setup" in setup["metadata"]["tags"] and "https://github.com/a/b" in setup["source"]
    again = write_setup_cell(with_address, None)
    assert len(again["cells"]) == len(with_address["cells"])
    assert "clone" not in code_cell(again, 0)["source"]


def test_the_colab_link_comes_and_goes_with_the_address():
    link = "https://colab.research.google.com/github/a/b/blob/main/notebooks/01_probe.ipynb"
    notebook = probe_notebook()
    count = len(notebook["cells"])
    once = write_colab_cell(notebook, link)
    assert once["cells"][1]["source"] == f"[Open in Colab]({link})"
    assert "remove-cell" in once["cells"][1]["metadata"]["tags"]
    assert len(write_colab_cell(once, link)["cells"]) == count + 1
    assert len(write_colab_cell(once, None)["cells"]) == count


def test_headline_numbers_are_compared_within_the_tolerance(stored):
    fresh = nbformat.from_dict(json.loads(json.dumps(stored)))
    assert notebooks.headline(stored) == [(code_cell(stored, 1)["id"], [0.001, 40.0])]
    code_cell(fresh, 1)["outputs"][0]["text"] = "0.002 of 41\n"
    assert notebooks.differences(stored, fresh) == []
    code_cell(fresh, 1)["outputs"][0]["text"] = "0.001 of 44\n"
    assert notebooks.differences(stored, fresh)[0].endswith("stored 40, a fresh run gives 44")
    code_cell(fresh, 1)["outputs"][0]["text"] = "0.001\n"
    assert "2 numbers stored, 1 in a fresh run" in notebooks.differences(stored, fresh)[0]


def test_an_unknown_notebook_is_refused(checkout):
    with pytest.raises(ValueError, match="no notebook matches"):
        notebooks.paths(checkout, ["nothing"])


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")
def test_a_run_is_stored_once_verified_and_skipped_next_time(checkout, capfd, monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "full")  # what the caller has set must not reach the kernel
    for name in ("vizer_core", "vizer_lab"):
        shutil.copytree(notebooks.ROOT / name, checkout / name, dirs_exist_ok=True)
    path = checkout / "notebooks" / NAME
    nbformat.write(probe_notebook(), path)
    assert notebooks.run(checkout, [], everything=False, progress=False) == []
    first = path.read_bytes()
    assert check_notebook(path, notebooks.read(path), checkout) == []
    assert ALT in first.decode() and b"tEXt" not in first
    assert notebooks.run(checkout, [], everything=False, progress=False) == []
    assert "0 of 1 notebooks to run" in capfd.readouterr().out
    assert notebooks.run(checkout, [], everything=True, progress=False) == []
    assert path.read_bytes() == first, "a second run of the same code changed the file"
    assert notebooks.verify(checkout, []) == []


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("default")
def test_a_notebook_that_fails_is_named_and_left_as_it_was(checkout):
    path = checkout / "notebooks" / NAME
    broken = probe_notebook()
    code_cell(broken, 1)["source"] = 'raise ValueError("on purpose")'
    nbformat.write(broken, path)
    before = path.read_bytes()
    faults = notebooks.run(checkout, [], everything=False, progress=False)
    assert len(faults) == 1 and NAME in faults[0] and "on purpose" in faults[0]
    assert path.read_bytes() == before


def with_costs(text):
    notebook = nbformat.v4.new_notebook(metadata={"vizer": {"seconds": 70.0}})
    notebook["cells"] = [nbformat.v4.new_markdown_cell(text)]
    return notebook


@pytest.mark.parametrize(
    "text",
    [
        "## What it costs\n\nMy words.",
        "## What it costs\n\n| old | table |\n|---|---|\n| by | hand |\n\nMy words.",
        "## What it costs\n\n<!-- cost -->\nold\n\nand older\n<!-- /cost -->\n\nMy words.",
    ],
)
def test_the_cost_table_takes_the_place_of_an_older_one_and_leaves_the_words(text):
    notebook = write_cost_table(with_costs(text), "mapper")
    (found,) = [cell["source"] for cell in notebook["cells"]]
    assert found.startswith("## What it costs\n\n<!-- cost -->\n| profile |")
    assert found.endswith("<!-- /cost -->\n\nMy words.") and "old" not in found
    assert "hand" not in found and "| `micro` (default) | 2 CPU cores | about 1 |" in found
    again = write_cost_table(copy.deepcopy(notebook), "mapper")
    assert again["cells"][0]["source"] == found


def test_a_notebook_that_was_never_run_keeps_its_own_words_on_costs():
    notebook = with_costs("## What it costs\n\n| a |\n|---|\n| b |")
    del notebook["metadata"]["vizer"]
    assert "profile" not in write_cost_table(notebook, "mapper")["cells"][0]["source"]
    elsewhere = with_costs("No such heading.")
    assert write_cost_table(elsewhere, "mapper")["cells"][0]["source"] == "No such heading."


def test_a_stale_cost_table_and_an_unpriced_chapter_are_faults(stored, checkout):
    stored["cells"][4]["source"] = "## What you will learn\n\n- one thing"
    costs = nbformat.v4.new_markdown_cell("## What it costs\n\nNothing.", id="nb01-c99")
    stored["cells"].insert(5, costs)
    for name in ("01_umap.ipynb", "02_novelty.ipynb"):
        nbformat.write(stored, checkout / "notebooks" / name)
    first, second = (f for f in notebooks.check(checkout, []) if "cost" in f or "novelty" in f)
    assert first == "01_umap.ipynb: another cost table: run `python -m tools.notebooks costs`"
    assert second.startswith("02_novelty.ipynb: no chapter 'novelty': wanted one of")
    assert "add it to vizer_lab.costs.chapters" in second
    (checkout / "notebooks" / "02_novelty.ipynb").unlink()
    assert notebooks.costs(checkout, []) == [] == notebooks.check(checkout, [])


def test_a_chapter_is_named_by_its_notebook_without_the_number(tmp_path):
    assert chapter_of(tmp_path / "04_umap.ipynb") == "umap"


def run_of(seconds, device, printed="gap 0.78"):
    """Return chapter 9's notebook as a run left it, with its cost table."""
    notebook = with_costs("## What it costs\n\nMy words.")
    cell = nbformat.v4.new_code_cell("print(gap)", id="09-1")
    cell["outputs"] = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
    notebook["cells"].append(cell)
    notebook["cells"][0]["id"] = "09-0"
    notebook["metadata"]["vizer"] |= {"seconds": seconds, "device": device}
    return notebook


@pytest.mark.parametrize(("printed", "kept"), [("gap 0.78", True), ("gap 0.77", False)])
def test_a_run_that_only_took_longer_leaves_the_notebook_as_it_was(
    printed, kept, checkout, tmp_path, monkeypatch
):
    def stamp(notebook, root, seconds, read):
        notebook["metadata"]["vizer"] = {"seconds": seconds, "device": "another CPU"}
        return notebook

    monkeypatch.setattr(notebooks, "stamped", stamp)
    path = tmp_path / "09_mapper.ipynb"
    finish = notebooks.finished
    first = finish(run_of(0, ""), {}, run_of(0, ""), path, checkout, 61.0)
    again = finish(run_of(0, "", printed), {}, first, path, checkout, 119.0)
    assert (again == first) is kept
    seconds = again["metadata"]["vizer"]["seconds"]
    assert seconds == (61.0 if kept else 119.0)
    assert f"about {round(seconds / 60)} |" in again["cells"][0]["source"]
    notebooks.save(path, first)
    assert notebooks.save(path, again) is not kept
