"""Count what the house is made of: files, exports, imports of chapters, files that a call crosses.

    python -m tools.house_numbers            a line for each number
    python -m tools.house_numbers --calls    also the eight programs and a training step (a minute)

Run it in two checkouts to compare them. A call crosses a file when a function of it runs; what is
loaded on the way, once for all, is not counted.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("vizer_core", "vizer_lab")
SKIPPED = "fmt" + ": skip"
SCENES = 24  # that the programs' folder of images holds
STEP = 32  # images of the training step


def sources(package: Path) -> list[str]:
    """Return the text of each Python file of a package."""
    return [path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))]


def imported_names(source: str) -> Iterator[tuple[str, str]]:
    """Yield the names that code imports from the packages, with the module that each comes from.

    >>> list(imported_names("import os\\nfrom vizer_core.gap import measure_gap"))
    [('vizer_core.gap', 'measure_gap')]
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            yield from ((node.module or "", alias.name) for alias in node.names)


def chapter_imports(root: Path) -> tuple[int, int]:
    """Return how many names the chapters import, and how many of them from a file in a folder."""
    found: list[tuple[str, str]] = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                code = re.sub(r"^\s*[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)
                found += imported_names(code)
    return len(found), sum(module.count(".") > 1 for module, _ in found)


def files_crossed(call: Callable[[], Any]) -> list[str]:
    """Run a call and return the files of the packages that it crossed, such as `gap/report.py`."""
    crossed: set[str] = set()

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name not in crossed and _is_ours(frame) and not _is_import(frame):
            crossed.add(name)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(before)
    paths = [Path(name) for name in crossed if not name.startswith("<")]
    return sorted(str(path.relative_to(ROOT)) for path in paths if path.is_relative_to(ROOT))


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").split(".")[0] in PACKAGES


def _is_import(frame: FrameType | None) -> bool:
    """Say whether a frame is the body of one of our modules, or runs because one is imported."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and _is_ours(frame):
            return True
        frame = frame.f_back
    return False


def by_folder(files: list[str]) -> str:
    """Say how many files there are, and in which folders; what stands at the top is `(top)`.

    >>> by_folder(["vizer_core/env.py", "vizer_core/gap/report.py", "vizer_core/gap/pairs.py"])
    '3 files: gap 2, (top) 1'
    """
    folders = Counter(parts[1] if len(parts := file.split("/")) > 2 else "(top)" for file in files)
    return f"{len(files)} files: " + ", ".join(f"{k} {n}" for k, n in folders.most_common())


def programs() -> list[tuple[str, str]]:
    """Return title and code of the programs of the book's page `in_python`."""
    page = (ROOT / "book" / "in_python.md").read_text(encoding="utf-8")
    form = r"^## (\d\. .*?)\n\n```python\n(.*?)```"
    return re.findall(form, page, flags=re.DOTALL | re.MULTILINE)


def lay_out(folder: Path) -> None:
    """Put the files that the programs read into a folder: images, captions, VQAv2's questions."""
    from PIL import Image

    from vizer_lab.world import DrawnSplit
    from vizer_lab.world.vqa_items import drawn_vqa_items

    scenes = DrawnSplit("second_test", SCENES)
    (folder / "photos").mkdir()
    (folder / "vqa").mkdir()
    for name, pixels in zip(scenes.ids, scenes.images):
        Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
    captions = {f"{name}.png": list(texts) for name, texts in zip(scenes.ids, scenes.captions)}
    (folder / "captions.json").write_text(json.dumps(captions))
    lines = [text for texts in captions.values() for text in texts]
    (folder / "captions.txt").write_text("\n".join(lines))
    _write_vqav2(folder / "vqa", "val", drawn_vqa_items("second_test", SCENES))
    _write_vqav2(folder / "vqa", "train", drawn_vqa_items("second_train", 60))


def _write_vqav2(folder: Path, split: str, items: Any) -> None:
    asked = [{"question_id": i.id, "image_id": i.image_id, "question": i.question} for i in items]
    told = [
        {
            "question_id": i.id,
            "image_id": i.image_id,
            "question_type": i.question_type,
            "answer_type": i.answer_type,
            "multiple_choice_answer": i.answer,
            "answers": [{"answer": one} for one in i.answers],
        }
        for i in items
    ]
    (folder / f"{split}_questions.json").write_text(json.dumps({"questions": asked}))
    (folder / f"{split}_annotations.json").write_text(json.dumps({"annotations": told}))


def training_step(images: int = STEP) -> Callable[[], Any]:
    """Return one step of policy gradient on the information reward, model and images ready."""
    from vizer_core.runtime import seeded
    from vizer_core.vizer import add_lora, train_adapter
    from vizer_core.vizer.information import InformationReward
    from vizer_core.vizer.named_objectives import config_of
    from vizer_lab.world import DrawnSplit
    from vizer_lab.zoo import load_drawn_vlm
    from vizer_lab.zoo.vlm_images import encode_images

    vlm = load_drawn_vlm()
    vision = encode_images(vlm, DrawnSplit("second_test", images).images)
    add_lora(vlm, generator=seeded(0))
    reward, config = InformationReward(vlm, 0.7), config_of("information", images_per_step=images)
    return lambda: train_adapter(vlm, vision, reward, config, generator=seeded(1))


def static_lines(root: Path) -> list[str]:
    """Return the numbers that need no run."""
    lines = []
    for package in PACKAGES:
        texts = sources(root / package)
        count = sum(len(text.splitlines()) for text in texts)
        marks = sum(text.count(SKIPPED) for text in texts)
        lines.append(f"{package}: {len(texts)} files, {count:,} lines, {marks} marked {SKIPPED}")
    names, inside = chapter_imports(root)
    lines.append(f"chapters import {names} names, {inside} of them from a file inside a folder")
    exported = importlib.import_module("vizer_core").__all__
    return [*lines, f"vizer_core exports {len(exported)} names"]


def call_lines() -> Iterator[str]:
    """Run the eight programs in a folder of their own, then a training step; count the files."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        lay_out(Path(name))
        for title, code in programs():
            program = compile(code, title, "exec")
            with contextlib.redirect_stdout(io.StringIO()):
                crossed = files_crossed(lambda program=program: exec(program, {}))
            yield f"{title}: {by_folder(crossed)}"
    crossed = files_crossed(training_step())
    yield f"one training step: {by_folder(crossed)}"
    yield from (f"    {file}" for file in crossed)


def main() -> int:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", action="store_true", help="run the eight programs and a step")
    calls = parser.parse_args().calls
    print("\n".join(static_lines(ROOT)))
    for line in call_lines() if calls else ():
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
