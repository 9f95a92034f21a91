"""Make the golden files of this folder with the reference implementations.

    python tests/metrics/make_golden.py

Needs Java and the package pycocoevalcap (made with version 1.2 and OpenJDK 17). The inputs stay as
they are in the files; every output is computed anew: tokens by CoreNLP's PTBTokenizer, scores by
pycocoevalcap, METEOR's statistics by its jar with the full paraphrase table.

golden/captions.json: 12 small corpora (two of CLIPScore's README, copies of the references, one
image alone, an empty hypothesis, odd punctuation, contractions, repetition, unequal numbers of
references, unicode, a tie of lengths, ten COCO images with a human caption as hypothesis).
golden/tokens.json: probe strings for the tokenizer.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def java_tokens(captions: list[str]) -> list[str]:
    """Tokenise each caption as if alone: a line "The" between any two ends the sentence."""
    from pycocoevalcap.tokenizer import ptbtokenizer

    jar = Path(ptbtokenizer.__file__).parent / ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as source:
        source.write("".join(f"{caption}\nThe\n" for caption in captions))
        source.flush()
        command = ["java", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
        done = subprocess.run(
            [*command, "-preserveLines", "-lowerCase", source.name], capture_output=True, check=True
        )
    lines = done.stdout.decode().split("\n")[:-1:2]
    assert len(lines) == len(captions)
    dropped = set(ptbtokenizer.PUNCTUATIONS)
    return [" ".join(w for w in line.rstrip().split(" ") if w not in dropped) for line in lines]


def scores(hypotheses: list[str], references: list[list[str]]) -> dict[str, dict]:
    """Score tokenised captions with pycocoevalcap."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    result = {i: [h] for i, h in enumerate(hypotheses)}
    truth = dict(enumerate(references))
    corpus, per_image = {}, {}
    values, lists = Bleu(4).compute_score(truth, result, verbose=0)
    for n, value in enumerate(values):
        corpus[f"BLEU-{n + 1}"], per_image[f"BLEU-{n + 1}"] = value, list(lists[n])
    for name, scorer in (("ROUGE_L", Rouge()), ("CIDEr", Cider())):
        value, each = scorer.compute_score(truth, result)
        corpus[name], per_image[name] = float(value), [float(x) for x in each]
    meteor = Meteor()
    corpus["METEOR"], per_image["METEOR"] = meteor.compute_score(truth, result)
    counts = [meteor._stat(h, r) for h, r in zip(hypotheses, references)]
    counts = [[float(x) for x in line.split()] for line in counts]
    return {"corpus": corpus, "per_image": per_image, "meteor_counts": counts}


def main() -> None:
    """Rewrite both files."""
    path = GOLDEN / "captions.json"
    cases = json.loads(path.read_text(encoding="utf-8"))
    made = {}
    for name, case in cases.items():
        hypotheses, references = case["hypotheses"], case["references"]
        said = java_tokens(hypotheses)
        held = [java_tokens(captions) for captions in references]
        made[name] = {
            "hypotheses": hypotheses,
            "references": references,
            "tok_hyp": said,
            "tok_refs": held,
            **scores(said, held),
        }
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path = GOLDEN / "tokens.json"
    captions = [row["caption"] for row in json.loads(path.read_text(encoding="utf-8"))]
    rows = [{"caption": c, "tokens": t} for c, t in zip(captions, java_tokens(captions))]
    path.write_text(json.dumps(rows, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
