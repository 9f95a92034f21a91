"""Ask every outside address that the book names whether it still answers.

`python -m tools.links` needs a network and takes minutes; CI runs it once a week. Inside links are
checked at each build. Only what is certainly gone counts: some sites refuse programs (403) or too
many questions (429), and are there all the same.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("*.md", "book/*.md", "book/references.bib", "notebooks/*.ipynb")
ADDRESS = re.compile(r"https?://[^\s<>()\[\]{}\"'`\\|]+")
EXAMPLES = ("https://github.com/ORG/", "http://localhost", "http://127.0.0.1")
GONE = (404, 410)
SECONDS = 20


def addresses_in(text: str) -> list[str]:
    """Return the outside addresses of a text, without what ends a sentence.

    >>> addresses_in("See [a](https://a.org/x) and <https://b.org>, or https://c.org/y.")
    ['https://a.org/x', 'https://b.org', 'https://c.org/y']
    """
    found = [address.rstrip(".,;:!?*") for address in ADDRESS.findall(text)]
    return [address for address in found if not address.startswith(EXAMPLES)]


def addresses_of(root: Path, pages: Iterable[str] = PAGES) -> dict[str, list[str]]:
    """Return each outside address with the files that name it; of a notebook its text counts."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for pattern in pages for path in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        for address in addresses_in(text):
            files = found.setdefault(address, [])
            name = path.relative_to(root).as_posix()
            if name not in files:
                files.append(name)
    return found


def ask(address: str) -> str:
    """Return why an address is gone, or an empty text if it is there or refuses to say."""
    request = Request(address.partition("#")[0], headers={"User-Agent": "Mozilla/5.0 (links)"})
    try:
        with urlopen(request, timeout=SECONDS):
            return ""
    except HTTPError as error:
        return f"{error.code}" if error.code in GONE else ""
    except (URLError, TimeoutError, OSError) as error:
        return f"{getattr(error, 'reason', error)}"


def gone(named: Mapping[str, list[str]], ask: Callable[[str], str] = ask) -> list[str]:
    """Return a line for each address that is gone: the files, the address, the reason."""
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(named, pool.map(ask, named), strict=True))
    return [f"{', '.join(named[url])}: {url}: {why}" for url, why in answers.items() if why]


def main() -> int:
    """Print what is gone; 1 if anything is."""
    named = addresses_of(ROOT)
    faults = gone(named)
    if faults and len(faults) == len(named):  # they cannot all be gone
        print(f"none of {len(named)} addresses answers: is there a network? First: {faults[0]}")
        return 1
    print("\n".join([*faults, f"{len(named)} addresses, {len(faults)} gone"]))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
