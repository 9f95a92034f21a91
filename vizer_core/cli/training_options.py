"""The options of `vizer enhance` that say how it trains; each default and why: `vizer.recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

RECIPES = ("auto", "objective", "paper", "trl", "sized")  # of vizer.recipes, which a test compares

TrainPrompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        help="What the model is asked while it trains, and after. Default: an instruct model's "
        "chat template, a base model's image alone.",
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="Where settings come from. objective: as tried on the drawn worlds; paper: ViZer's; "
        "trl: TRL's example for SmolVLM2-2.2B; sized: by the model's size, with decay and a KL "
        "ceiling; auto: objective up to 50 million parameters, sized above.",
    ),
]
LearningRate = Annotated[float | None, typer.Option(min=0.0, help="AdamW's, after the warm-up.")]
Decay = Annotated[
    str | None, typer.Option(help="Of the rate after the warm-up: none, linear or cosine, to 0.")
]
WarmUp = Annotated[
    int | None, typer.Option("--warmup-steps", min=0, help="Steps in which the rate rises.")
]
Epochs = Annotated[int | None, typer.Option(min=1, help="How often each image is used.")]
Samples = Annotated[
    int | None, typer.Option(min=1, help="Captions sampled per image in each step.")
]
TrainTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="At most so many tokens per caption.")
]
MaxKl = Annotated[
    float | None,
    typer.Option(min=0.0, help="Stop this far from the base model, in nats per token."),
]
KlWeight = Annotated[
    float | None,
    typer.Option(min=0.0, help="Weight in the loss of the distance from the base; 0: none."),
]
Rank = Annotated[int | None, typer.Option(min=1, help="Of LoRA. Default 32; trl: 16.")]
Alpha = Annotated[
    int | None, typer.Option(min=1, help="LoRA's weight, over its rank. Default 64; trl: 32.")
]
Targets = Annotated[
    str | None,
    typer.Option(
        help="Projections with LoRA, with commas: q_proj,v_proj. Default: all; trl: those two."
    ),
]
WatchEvery = Annotated[
    int,
    typer.Option(min=0, help="Report the loss and two captions every so many steps. 0: never."),
]
HeldOut = Annotated[
    int,
    typer.Option(
        min=0,
        help="Score greedy captions of the last so many images at each report; not trained on.",
    ),
]
Patience = Annotated[
    int,
    typer.Option(
        min=0,
        help="Stop after so many evaluations without a better score; the best stays. 0: never.",
    ),
]
SaveEvery = Annotated[
    int,
    typer.Option(
        "--save-adapter-every", min=0, help="Also keep the adapter of every so many steps. 0: none."
    ),
]
