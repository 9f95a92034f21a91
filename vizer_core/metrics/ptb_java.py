"""The original tokenizer: Stanford CoreNLP's `PTBTokenizer`, run once over all captions.

For exact parity with published COCO numbers on text unlike captions (source code, URLs), where
`tokenize` differs more often. It needs Java and the jar inside pycocoevalcap. Differences from
that package's wrapper: line separators are replaced before the call, the exit status and the
number of lines are checked, and temporary files live in the temporary folder.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vizer_core.metrics.availability import MetricUnavailable, find_cocoevalcap, find_java

JAVA_TOKENIZER = "ptb-java-3.4.1"
_JAR = "tokenizer/stanford-corenlp-3.4.1.jar"
_LINE_SEPARATORS = re.compile("[\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
_PUNCTUATION = frozenset(
    ("''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", "-", "--", "...")
).union(".?!,:;")


def _run(captions: Sequence[str], timeout: float) -> list[str]:
    text = "\n".join(_LINE_SEPARATORS.sub(" ", caption) for caption in captions) + "\n"
    with tempfile.TemporaryDirectory(prefix="vizer-ptb-") as folder:
        source = Path(folder) / "captions.txt"
        source.write_text(text, encoding="utf-8", errors="replace")
        command = [
            str(find_java()),
            "-Dfile.encoding=UTF-8",
            *("-cp", str(find_cocoevalcap(_JAR)), "edu.stanford.nlp.process.PTBTokenizer"),
            *("-preserveLines", "-lowerCase", str(source)),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise MetricUnavailable(
                f"the Java tokenizer gave no answer in {timeout:g} s: is {command[0]} a working "
                'Java? Use tokenizer "ptb", which needs none.'
            ) from error
    if done.returncode:
        raise MetricUnavailable(
            f"{command[0]} failed with status {done.returncode}: "
            f"{done.stderr.decode(errors='replace').strip()[:300] or 'it said nothing'}"
        )
    return done.stdout.decode("utf-8").split("\n")[:-1]


def tokenize_captions_java(captions: Sequence[str], *, timeout: float = 600.0) -> list[str]:
    """Tokenise with CoreNLP and drop its punctuation tokens."""
    if not captions:
        return []
    lines = _run(captions, timeout)
    if len(lines) != len(captions):
        raise MetricUnavailable(
            f"the Java tokenizer returned {len(lines)} lines for {len(captions)} captions, so they "
            'cannot be matched. Use tokenizer "ptb".'
        )
    return [
        " ".join(word for word in line.rstrip().split(" ") if word not in _PUNCTUATION)
        for line in lines
    ]
