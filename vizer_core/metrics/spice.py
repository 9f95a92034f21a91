"""SPICE (Anderson et al. 2016) through its authors' jar, where its parser's models are at hand.

The jar ships inside pycocoevalcap; the two CoreNLP 3.6.0 jars that it parses with do not, and no
package index carries them. Put both into a folder and name it in `SPICE_HOME`. The jar's writer
uses the JavaScript engine that Java 15 removed, so it needs Java 8 to 14. Without these, the
scene-graph F1 of `scene_graph` measures the same kind of thing under its own name.

The models were not to be had where this was written: the command below follows the jar's own
arguments and is tested against a stand-in for Java, not against real SPICE scores.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vizer_core import env
from vizer_core.metrics.availability import MetricUnavailable, find_cocoevalcap, find_java

CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
NEWEST_JAVA = 14
_JAR = "spice/spice-1.0.jar"


def _corenlp() -> list[Path]:
    home = env.SPICE_HOME.get()
    paths = [Path(home or ".") / name for name in CORENLP]
    if not home or not all(path.is_file() for path in paths):
        raise MetricUnavailable(
            f"SPICE needs {CORENLP[0]} and {CORENLP[1]} in the folder named by SPICE_HOME "
            f"(got {home!r}); they are not on PyPI. Offline substitute: scene_graph_f1."
        )
    return paths


def _require_old_java(java: Path) -> None:
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MetricUnavailable(f"{java} -version gave no answer: {error}") from error
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    if version is None or int(version[1]) > NEWEST_JAVA:
        found = version[1] if version else "of unknown version"
        raise MetricUnavailable(
            f"SPICE's jar needs Java 8 to {NEWEST_JAVA}, and {java} is Java {found}: set JAVA_HOME "
            "to an older one. Offline substitute: scene_graph_f1."
        )


def missing() -> str | None:
    """Say why SPICE cannot run here, or None where it can."""
    try:
        find_cocoevalcap(_JAR)
        _corenlp()
        _require_old_java(find_java())
    except MetricUnavailable as error:
        return str(error)
    return None


def _run(folder: Path, timeout: float) -> list[dict]:
    jar = find_cocoevalcap(_JAR)
    classes = os.pathsep.join(map(str, [jar, *sorted(jar.parent.glob("lib/*.jar")), *_corenlp()]))
    source, target = folder / "in.json", folder / "out.json"
    command = [
        *(str(find_java()), "-Xmx8G", "-cp", classes, "edu.anu.spice.SpiceScorer", str(source)),
        *("-out", str(target), "-subset", "-silent"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise MetricUnavailable(f"SPICE gave no answer in {timeout:g} s and was stopped") from error
    if done.returncode or not target.is_file():
        said = done.stderr.decode(errors="replace").strip()[-300:] or "it said nothing"
        raise MetricUnavailable(f"SPICE's JVM ended with status {done.returncode}: {said}")
    return json.loads(target.read_text(encoding="utf-8"))


def spice_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, timeout: float = 7200.0
) -> Float64[np.ndarray, " n"]:
    """Return each image's SPICE F1; the corpus's score is the mean."""
    if len(hypotheses) != len(references):
        raise ValueError(
            f"got {len(hypotheses)} hypotheses for {len(references)} images: "
            "wanted one hypothesis an image"
        )
    rows = [
        {"image_id": i, "test": hypothesis, "refs": list(refs)}
        for i, (hypothesis, refs) in enumerate(zip(hypotheses, references))
    ]
    with tempfile.TemporaryDirectory(prefix="vizer-spice-") as name:
        folder = Path(name)
        (folder / "in.json").write_text(json.dumps(rows), encoding="utf-8")
        answers = {int(a["image_id"]): a["scores"]["All"]["f"] for a in _run(folder, timeout)}
    if len(answers) != len(rows):
        raise MetricUnavailable(f"SPICE answered for {len(answers)} of {len(rows)} images")
    return np.array([float(answers[i]) for i in range(len(rows))], dtype=np.float64)
