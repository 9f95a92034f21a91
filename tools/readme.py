"""Write the part of README.md that is read from the checkout: what each chapter costs; its image.

    python -m tools.readme

A test fails when README.md is not what this would write, or its image not what is drawn today.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools import readme_image
from tools.generated import chapters, notebook_title

ROOT = Path(__file__).resolve().parents[1]


def chapter_lines(files: list[Path]) -> str:
    """List chapters by number, each with the seconds that its stored outputs took, and on what."""
    lines, devices = [], []
    for file in files:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        stamp = notebook["metadata"].get("vizer", {})
        cost = f"{stamp['seconds']:.0f} s" if "seconds" in stamp else "not run"
        devices.append(stamp.get("device", "nothing"))
        title = notebook_title(notebook)
        lines.append(f"{int(file.name[:2])}. [{title}](notebooks/{file.name}), {cost}")
    where = "; ".join(dict.fromkeys(devices))
    return f"With what their stored outputs took, on {where}:\n\n" + "\n".join(lines)


def filled(text: str, root: Path) -> str:
    """Return README's text with the part between the marks written anew."""
    pattern = re.compile(r"(<!-- chapters -->\n).*?(<!-- /chapters -->)", flags=re.DOTALL)
    if not pattern.search(text):
        raise ValueError("README.md has no <!-- chapters --> ... <!-- /chapters -->: put it back")
    lines = chapter_lines(chapters(root))
    return pattern.sub(lambda match: f"{match[1]}{lines}\n{match[2]}", text)


def main() -> None:
    """Rewrite README.md and its image in place."""
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8"), ROOT), encoding="utf-8")
    (ROOT / readme_image.FILE).write_text(readme_image.image(), encoding="utf-8")


if __name__ == "__main__":
    main()
