"""What is read from the environment: each variable by one name, with its default and its meaning.

`Variable.get` reads at the time of the call; a variable that is set to nothing counts as not set.
Variables of other programs (Java, Accelerate, numba, the hub) stand here too, since what is not
listed is not read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """A variable of the environment, and what is taken where it is not set."""

    name: str
    default: str = ""

    def get(self) -> str:
        """Return its value, or the default.

        >>> Variable("VIZER_NO_SUCH_VARIABLE", "micro").get()
        'micro'
        """
        return os.environ.get(self.name) or self.default

    def set(self, value: str) -> None:
        """Set it for this process, and those that it starts."""
        os.environ[self.name] = value


# chapters and studies: where they run and what they read
PROFILE = Variable("VIZER_PROFILE", "micro")  # or full: real weights and data
SEED = Variable("VIZER_SEED", "0")
DTYPE = Variable("VIZER_DTYPE")  # of language models; as they were stored unless set
IMAGES = Variable("VIZER_IMAGES")  # images to read at most on the full profile
DATA = Variable("VIZER_DATA")  # the folder of COCO, and of VQAv2
PREFIX_NETWORKS = Variable("VIZER_PREFIX_NETWORKS")  # the folder of trained prefix networks

# the models of the full profile: a hub id, or a folder
CLIP = Variable("VIZER_CLIP", "ViT-B-32/openai")
JUDGE = Variable("VIZER_JUDGE", "ViT-B-32/laion2b_s34b_b79k")
LANGUAGE_MODEL = Variable("VIZER_LM", "facebook/opt-1.3b")
VLM = Variable("VIZER_VLM", "HuggingFaceTB/SmolVLM-Base")

# several processes: set by torchrun and by `accelerate launch`
WORLD_SIZE = Variable("WORLD_SIZE", "1")
USE_FSDP = Variable("ACCELERATE_USE_FSDP", "false")
FSDP_VERSION = Variable("FSDP_VERSION", "1")
MIXED_PRECISION = Variable("ACCELERATE_MIXED_PRECISION", "no")

# other programs, and folders of the system
JAVA_HOME = Variable("JAVA_HOME")
SPICE_HOME = Variable("SPICE_HOME")  # the folder of CoreNLP's jars
CACHE = Variable("XDG_CACHE_HOME")
WINDOWS_CACHE = Variable("LOCALAPPDATA")
NUMBA_CACHE = Variable("NUMBA_CACHE_DIR")
TRANSFORMERS_OFFLINE = Variable("TRANSFORMERS_OFFLINE", "0")
NO_PROGRESS = (Variable("TQDM_DISABLE"), Variable("HF_HUB_DISABLE_PROGRESS_BARS"))
