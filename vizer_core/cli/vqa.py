"""`vizer vqa`: how well questions about images can be answered from captions alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import (
    Device,
    Dtype,
    JsonOut,
    Overwrite,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    is_quiet,
    keep_inputs,
    show_and_write,
)
from vizer_core.cli.captioner_options import Clip, LanguageModel, Pretrained, QuickGelu
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.models import DRAWN_LM, language_model_of

PROMPTS = ("auto", "paper", "release")
FLOORS = ("question_only", "prior", "type_prior", "chance")  # the other rows of every table


@app.command(name="vqa", short_help="Answer questions about images from their captions.")
def vqa_command(
    questions: Annotated[Path, typer.Option(help="VQAv2's questions, v2_..._questions.json.")],
    annotations: Annotated[Path, typer.Option(help="Their answers, v2_..._annotations.json.")],
    captions: Annotated[
        list[Path],
        typer.Option(
            help="COCO results; may be given several times. The file's name is its row's."
        ),
    ],
    train_questions: Annotated[
        Path, typer.Option(help="Questions about other images, whose answers make two floors.")
    ],
    train_annotations: Annotated[Path, typer.Option(help="Their answers.")],
    answers: Annotated[
        Path | None,
        typer.Option(
            help="The candidates, a JSON list of text. Default: the 3,128 most frequent answers of "
            "the training questions."
        ),
    ] = None,
    language_model: LanguageModel = DRAWN_LM,
    clip: Clip = "drawn",
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    prompt: Annotated[
        str,
        typer.Option(
            help="paper: MacCap's prompt, greedy; release: its program's, 5 beams; auto: the "
            "paper's, or for drawn-lm the one that it was trained on."
        ),
    ] = "auto",
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Ask a sample of so many, seeded by --seed. Default: all."),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Images without a caption: 'error', or 'skip' their questions.")
    ] = "error",
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts in one pass.")] = 64,
    json_out: JsonOut = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Answer questions from captions, zero-shot: the language model reads a caption, not the image.

    It generates an answer; CLIP's text tower looks it up among the candidates (MacCap, 4.4).
    Prints accuracy in percent with 95% intervals over images: a row for each captions file, then
    the question without a caption, the training questions' most frequent answer, for all and by
    question type, and chance. A row that does not beat these shows no use of its captions. Top 1
    and top 10 count the agreed answer; soft is VQAv2's own accuracy, of the candidate or of the
    text as generated.
    """
    choice("--prompt", prompt, PROMPTS)
    choice("--missing", missing, ("error", "skip"))
    inputs = (questions, annotations, train_questions, train_annotations, answers, pretrained)
    keep_inputs(json_out, "--json", *inputs, *captions, clip, language_model)
    names = _names_of(captions)
    with errors_as_exit_status(clip, pretrained, language_model, goes_on=False):
        from vizer_core.data.vqav2 import read_vqav2
        from vizer_core.vqa import evaluate_vqa
        from vizer_core.vqa.answering import protocol_for

        training = read_vqav2(train_questions, train_annotations)
        items = read_vqav2(questions, annotations)
        said = {name: _captions_of(file, items) for name, file in zip(names, captions)}
        items = _asked(items, said, skip=missing == "skip", sample=sample, seed=seed)
        candidates = _candidates(answers, training)
        encoder = clip_encoder(clip, pretrained, device, quick_gelu)
        lm = language_model_of(language_model, device, dtype)
        protocol = protocol_for(lm, encoder, candidates, prompt=prompt, batch_size=batch_size)
        report = evaluate_vqa(items, said, protocol, training=training, progress=not is_quiet())
        show_and_write(report.table(), json_out, _as_dict(report, items))


def _names_of(captions: list[Path]) -> list[str]:
    """Return the row of each captions file, its name without the ending, or end with status 2."""
    names = [path.stem for path in captions]
    twice = [name for name, count in Counter(names).items() if count > 1]
    taken = sorted(set(names) & set(FLOORS))
    if twice or taken:
        why = "two files have this name" if twice else "this is a row of every table"
        raise typer.BadParameter(f"--captions {(twice or taken)[0]}: {why}, rename the file")
    return names


def _captions_of(file: Path, items: Any) -> dict[str, str]:
    """Read captions under the questions' image ids; the file may have COCO's file names."""
    from vizer_core.data.coco import read_results
    from vizer_core.data.image_names import meet_images

    written = read_results(file)
    asked = {item.image_id: item.image_id for item in items}
    met = meet_images(written, asked)
    if not met:
        raise ValueError(
            f"{file} has captions for none of the images that are asked about: it names "
            f"{next(iter(written))!r}, the questions {next(iter(asked))!r}"
        )
    return {str(image): written[name] for name, image in met.items()}


def _asked(items: Any, said: dict[str, Any], *, skip: bool, sample: int | None, seed: int) -> Any:
    """Return the questions to ask: about images that all files caption, so many of them."""
    from vizer_core.data.vqav2 import sample_items
    from vizer_core.runtime import seeded

    everywhere = set.intersection(*(set(texts) for texts in said.values()))
    if skip:
        items = tuple(item for item in items if item.image_id in everywhere)
        if not items:
            raise ValueError("no question is about an image that all of the files caption")
    if sample is not None:
        items = sample_items(items, sample, generator=seeded(seed))
    absent = sorted({item.image_id for item in items} - everywhere)
    if absent:
        name = next(name for name, texts in said.items() if absent[0] not in texts)
        raise ValueError(
            f"{len(absent)} images that are asked about have no caption, first {absent[0]!r} in "
            f"{name}: caption them, or leave their questions out with --missing skip"
        )
    return items


def _candidates(answers: Path | None, training: Any) -> Any:
    """Read the candidate answers, or take the training questions' most frequent ones."""
    from vizer_core.data.vqav2 import VQAV2_CANDIDATES, read_answer_list
    from vizer_core.files import read_json
    from vizer_core.vqa.scoring import frequent_answers

    if answers is None:
        return frequent_answers(training, VQAV2_CANDIDATES)
    listed = read_json(answers)
    count = len(listed) if isinstance(listed, list) else VQAV2_CANDIDATES
    return read_answer_list(answers, sha256=None, count=count)


def _as_dict(report: Any, items: Any) -> dict[str, Any]:
    """Return what --json writes: every score, and each question's answers by row."""
    return {
        "questions": report.questions,
        "candidates": report.candidates,
        "candidates_sha256": report.candidates_sha256,
        "coverage": report.coverage.as_dict(),
        "scores": report.rows(),
        "answers": {
            system: [
                {"question_id": item.id, "written": text, "answer": found}
                for item, text, found in zip(items, texts, report.retrieved[system], strict=True)
            ]
            for system, texts in report.generated.items()
        },
    }
