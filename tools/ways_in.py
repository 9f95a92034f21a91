"""How a reader gets the book's code: a clone where there is an address, else one zip.

    python -m tools.ways_in          writes _build/book.zip: the notebooks, the results that they
                                     read, and a wheel of both packages with the shipped models

The start page says the one or the other, so that no page points to an address that is not there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from vizer_core.files import atomic_path

ROOT = Path(__file__).resolve().parents[1]
ZIP = Path("_build", "book.zip")
README = """\
Install the wheel in an environment of your own (Python 3.11 or newer), then open a notebook:

    python -m pip install "{wheel}[book,test]"
    jupyter lab notebooks/01_clip_features.ipynb
"""


def get_it_markdown(url: str | None) -> str:
    """Return how to get the code, as the start page says it.

    >>> print(get_it_markdown("https://github.com/a/b"))
    ```sh
    git clone https://github.com/a/b
    cd b
    ```
    >>> "git clone" in get_it_markdown(None)
    False
    """
    if url is not None:
        return f"```sh\ngit clone {url}\ncd {url.rpartition('/')[2]}\n```"
    return (
        "Unpack the archive that you were given, and open a terminal in its folder. This copy of "
        "the book has no public address yet. `make zip` packs the notebooks and the package into "
        "one file, `_build/book.zip`, for somebody who wants to run them without the rest."
    )


def build_wheel(root: Path, folder: Path) -> Path:
    """Build the wheel of a checkout into `folder`."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(root)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def write_zip(root: Path, wheel: Path, path: Path) -> Path:
    """Pack notebooks, results and a wheel into one zip; a README says how to start."""
    files = sorted((root / "notebooks").glob("*.ipynb")) + sorted((root / "results").glob("*.json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.write(wheel, wheel.name)  # compressed already
        archive.writestr("README.txt", README.format(wheel=wheel.name))
        archive.write(root / "_toc.yml", "_toc.yml")  # by which a notebook finds the results
        for file in files:
            name = file.relative_to(root).as_posix()
            archive.write(file, name, compress_type=zipfile.ZIP_DEFLATED)
    return path


def main() -> int:
    """Write the zip and print where it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_zip(ROOT, build_wheel(ROOT, Path(folder)), ROOT / ZIP)
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
