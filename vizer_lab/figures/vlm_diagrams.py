"""Diagrams of a vision-language model, of ViZer on top of it, and of what scores read of it."""

from __future__ import annotations

from vizer_lab.figures.sketch import Length, Sketch


def vision_language_model() -> Sketch:
    """Draw the parts of a vision-language model, and where ViZer's F_I is read."""
    sheet = Sketch(
        418,
        "The parts of a vision-language model",
        "An image passes the frozen vision tower and becomes patches. Their mean, before the "
        "connector, is F_I. The connector turns patches into image tokens. The language model, "
        "which LoRA may change, reads image tokens, then the embedded words of prompt and "
        "caption. Its last states are f_psi; the head turns them into the next word's "
        "probabilities.",
    )
    sheet.scene(72, 8, 38)
    sheet.text(120, 32, "image", "image", anchor="start", bold=True, size=13)
    sheet.arrow([(91, 48), (91, 64)], "image")
    sheet.box(10, 66, 162, 46, "image", "vision tower", "frozen")
    sheet.arrow([(91, 112), (91, 128)], "image")
    sheet.text(91, 144, "one vector per patch", "image", size=12.5)
    sheet.arrow([(168, 140), (206, 140)], "region")
    sheet.box(208, 120, 82, 40, "region", "mean")
    sheet.arrow([(290, 140), (316, 140)], "region")
    sheet.text(346, 146, "F_I", "region", size=20, bold=True)
    sheet.text(346, 166, "read here", "region", size=12)
    sheet.arrow([(91, 150), (91, 168)], "image")
    sheet.box(10, 170, 162, 46, "image", "connector", "joins patches")
    sheet.arrow([(91, 216), (91, 234)], "image")
    sheet.text(91, 249, "image tokens", "image", size=12.5)
    sheet.arrow([(91, 255), (91, 276)], "image")
    sheet.text(302, 190, "“a photo of … two dogs”", "text", size=13, bold=True)
    sheet.arrow([(302, 196), (302, 212)], "text")
    sheet.box(221, 214, 162, 34, "text", "embeddings")
    sheet.arrow([(302, 248), (302, 276)], "text")
    sheet.box(10, 278, 380, 48, "accent", "language model", "LoRA may change it", thick=2.6)
    sheet.arrow([(112, 326), (112, 348)], "accent")
    sheet.text(112, 364, "last states", "accent", size=13, bold=True)
    sheet.text(112, 381, "f_ψ, what ViZer reads", "ink", size=12)
    sheet.arrow([(178, 360), (246, 360)], "accent")
    sheet.box(248, 343, 62, 34, "control", "head")
    sheet.arrow([(310, 360), (330, 360)], "accent")
    sheet.text(333, 364, "next word", "text", anchor="start", size=12.5)
    sheet.text(200, 407, "F_I is taken before the connector: no word touches it.", "ink", size=12.5)
    return sheet


def vizer_phases() -> Sketch:
    """Draw ViZer's two phases: where the loss is, and which part its gradient reaches."""
    sheet = Sketch(
        456,
        "ViZer's two phases and the path of the gradient",
        "Phase 1: image and caption go through the frozen language model, the states through the "
        "mapper; the loss is one minus the cosine to F_I. The gradient, a dashed arrow, goes back "
        "into the mapper and ends there. Phase 2: the mapper is frozen. The gradient passes "
        "through it and through the caption's states into the LoRA of the language model. The "
        "words themselves were chosen before and get no gradient.",
    )
    _phase(sheet, 0, "Phase 1: train the mapper", trained="mapper")
    _phase(sheet, 222, "Phase 2: train the model, through the mapper", trained="lora")
    sheet.arrow([(14, 447), (56, 447)], "accent", dashed=True, thick=2.2)
    sheet.text(62, 451, "gradient", "accent", anchor="start", bold=True)
    sheet.text(392, 451, "it never passes the choice of words", "ink", anchor="end")
    return sheet


def _phase(sheet: Sketch, top: Length, title: str, *, trained: str) -> None:
    """Draw one phase: tower and F_I above, words and mapper below, the loss at the right."""
    lm = (
        ("accent", "language model", "LoRA: trained")
        if trained == "lora"
        else ("control", "language model", "frozen")
    )
    mapper = (
        ("accent", "mapper", "trained") if trained == "mapper" else ("control", "mapper", "frozen")
    )
    sheet.text(8, top + 20, title, "accent", anchor="start", size=13.5, bold=True)
    sheet.scene(12, top + 36, 34)
    sheet.arrow([(46, top + 53), (54, top + 53)], "image")
    sheet.box(56, top + 32, 132, 42, "control", "vision tower", "frozen")
    sheet.arrow([(188, top + 53), (330, top + 53)], "image")
    sheet.text(352, top + 59, "F_I", "image", size=18, bold=True)
    sheet.arrow([(122, top + 74), (122, top + 104)], "image")
    sheet.text(24, top + 108, "its", "text", size=11.5)
    sheet.text(24, top + 121, "caption", "text", size=11.5)
    sheet.arrow([(6, top + 130), (54, top + 130)], "text")
    sheet.box(56, top + 106, 132, 44, *lm, thick=2.6 if trained == "lora" else 1.6)
    sheet.arrow([(188, top + 128), (232, top + 128)], "text")
    sheet.text(211, top + 119, "states", "text", size=11.5)
    sheet.box(234, top + 106, 70, 44, *mapper, thick=2.6 if trained == "mapper" else 1.6)
    sheet.arrow([(304, top + 128), (322, top + 128)], "text")
    sheet.box(324, top + 106, 70, 44, "ink", "1 − cos", "the loss")
    sheet.arrow([(352, top + 70), (352, top + 104)], "image")
    back = top + 172
    end = 269 if trained == "mapper" else 122
    sheet.arrow(
        [(358, top + 150), (358, back), (end, back), (end, top + 153)],
        "accent",
        dashed=True,
        thick=2.2,
    )
    words = "ends in the mapper" if trained == "mapper" else "through the mapper into LoRA"
    sheet.text((358 + end) / 2, back + 17, words, "accent", bold=True)


def three_scores() -> Sketch:
    """Draw what three scores of a caption read: after its image, alone, and one less the other."""
    sheet = Sketch(
        382,
        "Three scores of a caption without a label",
        "Image in context: the model reads image, then caption; the mapper turns its states into a "
        "vector that is compared with F_I. The image has a way around the words. Read-back: the "
        "model reads the caption alone, then the mapper and F_I: only the words can point at the "
        "image. Information: how likely the model finds the caption after the image, less w "
        "times how likely it finds it without.",
    )
    _score_row(
        sheet,
        0,
        "Image in context",
        ("image", "caption"),
        "near F_I ?",
        "the image has a way around the words",
        "image",
    )
    _score_row(
        sheet,
        128,
        "Read-back",
        ("caption",),
        "near F_I ?",
        "only the words can point at the image",
        "text",
    )
    top = 256
    sheet.text(8, top + 20, "Information", "region", anchor="start", size=13.5, bold=True)
    sheet.scene(12, top + 32, 30)
    sheet.text(48, top + 51, "then caption", "text", anchor="start", size=12)
    sheet.arrow([(132, top + 47), (150, top + 47)], "image")
    sheet.text(36, top + 87, "caption alone", "text", anchor="start", size=12)
    sheet.arrow([(132, top + 83), (150, top + 83)], "text")
    sheet.box(152, top + 32, 96, 66, "control", "model", "how likely?")
    sheet.arrow([(248, top + 47), (268, top + 47)], "image")
    sheet.arrow([(248, top + 83), (268, top + 83)], "text")
    sheet.text(275, top + 51, "log p(y | I)", "image", anchor="start", size=13, bold=True)
    sheet.text(275, top + 69, "−", "ink", anchor="start", size=14, bold=True)
    sheet.text(275, top + 87, "w · log p(y)", "text", anchor="start", size=13, bold=True)
    sheet.text(200, top + 118, "what the words owe to the image", "region", bold=True)
    return sheet


def _score_row(
    sheet: Sketch, top: Length, title: str, read: tuple[str, ...], asked: str, says: str, role: str
) -> None:
    """Draw one score that goes through states and mapper to F_I."""
    sheet.text(8, top + 20, title, role, anchor="start", size=13.5, bold=True)
    if "image" in read:
        sheet.scene(12, top + 38, 30)
        sheet.text(48, top + 57, "then caption", "text", anchor="start", size=12)
    else:
        sheet.text(36, top + 57, "caption alone", "text", anchor="start", size=12)
    sheet.arrow([(132, top + 53), (150, top + 53)], role)
    sheet.box(152, top + 32, 70, 42, "control", "model")
    sheet.arrow([(222, top + 53), (240, top + 53)], role)
    sheet.box(242, top + 32, 66, 42, "accent", "mapper")
    sheet.arrow([(308, top + 53), (324, top + 53)], role)
    sheet.text(360, top + 57, asked, "region", size=12, bold=True)
    sheet.text(200, top + 96, says, role, bold=True)
    sheet.shape(f'<line class="open control" x1="8" x2="392" y1="{top + 112}" y2="{top + 112}"/>')
