"""What each system costs, per image: passes of the tower, captions written, captions read.

One caption written is one decode over a key-value cache; one caption read is one pass without
gradient, as for a score; one learned is one pass with gradient. Decoding is per image captioned,
training per image trained on, once.
"""

from __future__ import annotations

from typing import Any

from experiments.improvement_decoders import DRAWN, GROUPS
from experiments.improvement_world import VIEWS

SCORED = 1 + 8  # own image and other images of the prior
DECODING: dict[str, tuple[int, int, int]] = {  # tower, written, read
    "base": (1, 1, 0),
    "first_word": (1, 1, 0),
    "beam": (1, 4, 0),
    "guidance": (1, 2, 0),
    "mbr": (1, DRAWN, 0),
    "best_of_n_information": (1, DRAWN, DRAWN * SCORED),
    "diverse_beam": (1, GROUPS, GROUPS * SCORED),
    "views_5": (VIEWS, 1, 0),
    "views_log_p": (VIEWS, VIEWS, 0),
}
TRAINING: dict[str, tuple[int, int, int, int]] = {  # tower, written, read, learned
    "self_training": (1, 1, 0, 4),
    "self_training_once": (1, 1, 0, 1),
    "beam_distillation": (1, 4, 0, 4),
    "beam_view_distillation": (VIEWS, 4, 0, 4),
    "view_distillation": (VIEWS, 1, 0, 4),
    "raft": (1, 4, 4 * SCORED, 4),
    "dpo": (1, 4, 4 * SCORED, 4),
    "information": (1, 4, 4 * SCORED, 4),
    "consensus": (1, 8 + 4, 0, 4),
    "read_back": (1, 4, 4, 4),
    "self_retrieval": (1, 4, 4, 4),
    "clip_reward": (1, 4, 4, 4),
    "vizer_g": (1, 4, 0, 4),
    "vizer_g_contrastive": (1, 4, 0, 4),
    "vizer_gt": (1, 4, 0, 4),
    "vizer_gt_contrastive": (1, 4, 0, 4),
}


def cost_rows() -> list[dict[str, Any]]:
    """Return the table; what mappers read beforehand is not in it."""
    decoding = [
        {"system": name, "when": "decoding"} | dict(zip(("tower", "written", "read"), row))
        for name, row in DECODING.items()
    ]
    return decoding + [
        {"system": name, "when": "training"}
        | dict(zip(("tower", "written", "read", "learned"), row))
        for name, row in TRAINING.items()
    ]
