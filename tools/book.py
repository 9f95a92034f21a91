"""Build the book: make the generated pages, call Jupyter Book, finish and check the HTML.

    python -m tools.book            # build into _build/html and check it
    python -m tools.book --output DIR

The repository's address stands in one place, `[project.urls] Repository` in pyproject.toml. While
it is missing, the book shows no button that would need it: no Colab, no repository, no issues.
`Documentation` beside it says where the book can be read: links to it then come with an image.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tools import generated
from tools.check_html import check_site
from tools.finish_site import finish

ROOT = Path(__file__).resolve().parents[1]
COLAB = "https://colab.research.google.com"
BINDER = "https://mybinder.org"  # installs environment.yml, which takes minutes
BRANCH = "main"


def repository_url(root: Path = ROOT, name: str = "Repository") -> str | None:
    """Return an address from pyproject.toml, the repository's if no other, or None while unset."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    url = project.get("urls", {}).get(name, "").rstrip("/")
    if url and not url.startswith("https://"):
        raise ValueError(f"{name} = {url!r} in pyproject.toml: wanted an https:// address")
    return url or None


def book_config(config: dict[str, Any], url: str | None) -> dict[str, Any]:
    """Return the book's settings, with the repository's buttons if there is an address.

    >>> book_config({"html": {}}, None)
    {'html': {}}
    >>> book_config({"html": {}}, "https://github.com/a/b")["repository"]["url"]
    'https://github.com/a/b'
    """
    if url is None:
        return config
    html = {**config["html"], "use_repository_button": True, "use_issues_button": True}
    return {
        **config,
        "html": html,
        "repository": {"url": url, "branch": BRANCH, "path_to_book": ""},
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "colab_url": COLAB,
            "binderhub_url": BINDER,
        },
    }


def colab_link(url: str, notebook: str) -> str:
    """Return where Colab opens a notebook of a GitHub repository.

    >>> colab_link("https://github.com/a/b", "notebooks/01_x.ipynb")
    'https://colab.research.google.com/github/a/b/blob/main/notebooks/01_x.ipynb'
    """
    name = url.removeprefix("https://github.com/")
    return f"{COLAB}/github/{name}/blob/{BRANCH}/{notebook}"


def build(root: Path = ROOT, output: Path | None = None) -> Path:
    """Build the book of the checkout at `root` and return the path of its index.html."""
    output = output or root
    target = output / "_build"
    target.mkdir(parents=True, exist_ok=True)
    generated.write_all(root, repository_url(root))
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    merged = target / "_config.yml"
    merged.write_text(
        yaml.safe_dump(book_config(config, repository_url(root)), sort_keys=False),
        encoding="utf-8",
    )
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root)]
    command += ["--config", str(merged), "--toc", str(root / "_toc.yml")]
    command += ["--path-output", str(output), "-W", "-n", "--keep-going"]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONPATH": path})
    finish(target / "html", repository_url(root, "Documentation"))
    return target / "html" / "index.html"


def main() -> int:
    """Build, check, print the path of the index; exit 1 on any fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT, help="folder that gets _build/html")
    arguments = parser.parse_args()
    try:
        index = build(ROOT, arguments.output)
    except subprocess.CalledProcessError as error:
        print(f"the book did not build: exit status {error.returncode}", file=sys.stderr)
        return 1
    faults = check_site(index.parent, repository_url())
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{index}: {len(faults)} faults" if faults else f"The book: {index}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
