"""Trials for the models of the drawn world's second edition: what was tried, at what cost, with what end.

    python -m experiments.world_second_trials clip-main --folder /tmp/trials
    python -m experiments.world_second_trials --list

A trial trains one model by one recipe on the second edition's training scenes and scores it on its
validation scenes. It keeps its weights in `--folder`, so that another trial can start from them and a
killed one goes on, and writes its row to `results/world_second_edition_trials.json`: the recipe, the
CPU seconds, the scores. Rows of trials that are not run again stay.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.world_second_recipes import CLIPS, TOWERS, VLMS
from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.runtime import git_commit
from vizer_core.store import load_manifest, load_tensors, save_tensors
from vizer_lab.world.data import MicroSplit
from vizer_lab.zoo.clip_model import build_micro_clip
from vizer_lab.zoo.lab import pixels_of, score_micro_clip
from vizer_lab.zoo.second_edition import clip_encoder, places_and_objects
from vizer_lab.zoo.train_clip import train_micro_clip

RESULTS = Path(__file__).resolve().parents[1] / "results" / "world_second_edition_trials.json"
