"""What is decided at the entry point: the precision of models, and how a package is missed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vizer_core.runtime import at_most, expect, model_dtype, pick_device, require


def test_a_package_that_is_there_is_imported():
    assert require("json.decoder", why="nothing").JSONDecoder


def test_an_optional_package_names_its_extra():
    with pytest.raises(
        ImportError, match=r'(?s)maps needs .*no_such.*pip install\n"vizer-core\[u\]'
    ):
        require("no_such.part", why="maps", extra="u")


def test_a_package_of_every_install_names_itself():
    with pytest.raises(ImportError, match=r"LoRA needs .*'no_such.part'.*\nno-such\.$"):
        require("no_such.part", why="LoRA")


def test_a_broken_package_speaks_for_itself(tmp_path, monkeypatch):
    (tmp_path / "broken_thing.py").write_text("import absent_thing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="No module named 'absent_thing'"):
        require("broken_thing", why="maps")


def test_the_precision_of_a_chapter_is_what_the_environment_says(monkeypatch):
    monkeypatch.delenv("VIZER_DTYPE", raising=False)
    assert model_dtype() is None
    monkeypatch.setenv("VIZER_DTYPE", "float16")
    assert model_dtype() is torch.float16
    monkeypatch.setenv("VIZER_DTYPE", "int8")
    with pytest.raises(ValueError, match="VIZER_DTYPE='int8': wanted float32"):
        model_dtype()


def test_a_finding_stops_the_drawn_page_and_warns_on_the_full_one(monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "micro")
    expect(True)
    with pytest.raises(AssertionError, match="finding of this page does not hold"):
        expect(torch.tensor(False))
    monkeypatch.setenv("VIZER_PROFILE", "full")
    expect(True)
    with pytest.warns(UserWarning, match="does not hold here"):
        expect(False)


def test_the_most_images_hold_on_the_full_profile_alone(monkeypatch):
    monkeypatch.setenv("VIZER_IMAGES", "100")
    assert at_most(1000) == 1000
    monkeypatch.setenv("VIZER_PROFILE", "full")
    assert (at_most(1000), at_most(30)) == (100, 30)
    monkeypatch.delenv("VIZER_IMAGES")
    assert at_most(1000) == 1000


@pytest.mark.parametrize("named", ["63", "many", "-100", "1e3"])
def test_too_few_images_are_refused(named, monkeypatch):
    monkeypatch.setenv("VIZER_PROFILE", "full")
    monkeypatch.setenv("VIZER_IMAGES", named)
    with pytest.raises(ValueError, match=f"VIZER_IMAGES='{named}': wanted a whole number of at le"):
        at_most(1000)


@pytest.mark.parametrize(
    ("built_for", "advice"), [("13.0", "does the driver know CUDA 13.0"), (None, "for CPUs")]
)
def test_without_a_gpu_the_advice_fits_the_build_of_torch(built_for, advice, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    with pytest.raises(ValueError, match=f"sees no CUDA device.*{advice}"):
        pick_device("cuda")


def test_a_notebook_without_widgets_is_not_told_to_update_jupyter():
    kernel = """
import sys
from types import SimpleNamespace
sys.modules["ipywidgets"] = None
sys.modules["ipykernel.zmqshell"] = SimpleNamespace()  # what tqdm looks for
app = SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = SimpleNamespace(get_ipython=lambda: app)
"""
    for first, told in (("", True), ("import vizer_core\n", False)):
        code = kernel + first + "from tqdm.auto import tqdm\nlist(tqdm([1], disable=True))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert ("IProgress not found" in done.stderr) is told
