"""The modality gap, text-only captioning and zero-label caption training, as a package.

    import vizer_core as vc

    clip, data = vc.load_clip("ViT-B-32/openai"), vc.read_images("photos", captions="captions.json")
    print(vc.measure_gap(*clip.encode(data)).table())

What stands in `__all__` is the package's front door: names to models (`load_clip`, `load_lm`,
`load_vlm`, `load_captioner`), the jobs, the protocols. Nothing is imported before it is asked for.

Map, from the ground up (a folder imports only what stands above it in this list):

- `shapes`, `runtime`, `files`, `decoding`, `token_loop`, `hub_errors`, `distributed`, `shipped`,
  `lazy`, `env`, `wheels`, `run_state`: axis names, device and profile, files that survive, how the
  next word is chosen, loops over tokens, what is wrong with a checkpoint, shares of a job, models
  that come with the installation, what a folder exports, variables, models in wheels, a run's state
- `data`, `metrics`, `tracking`: facts about the world, neural nets in two metrics only; a run
  for a tracker
- `sharding`: a frozen model cut over several processes
- `clip`, `language`, `vlm`: the three frozen things, each behind a protocol
- `gap`, `textonly`: the modality-gap analysis; training a captioner on text alone
- `captioners`, `vizer`: MacCap and its baselines; ViZer's mapper and zero-label training
- `vqa`, `evaluation`, `plots`: answers from captions; scores with intervals; figures of them
- `models`, `jobs`: names to models; each job as one function (`captioner_job`, `adapter_job`,
  `improvement`: long ones, which go on after a stop; `run_folder`: where they lie until then)
- `cli`: the command `vizer`

The drawn world, the shipped models and the book's studies are `vizer_lab`.
"""

import warnings
from typing import TYPE_CHECKING, Any

# without ipywidgets tqdm draws its bars as text, and tells a notebook's reader to update Jupyter
warnings.filterwarnings("ignore", message="IProgress not found")

if TYPE_CHECKING:
    from vizer_core.captioners.protocol import Captioner as Captioner
    from vizer_core.captioners.protocol import ImageCaptioner as ImageCaptioner
    from vizer_core.clip.protocol import ImageTextEncoder as ImageTextEncoder
    from vizer_core.data.image_set import ImageSet as ImageSet
    from vizer_core.data.image_set import read_images as read_images
    from vizer_core.decoding import Style as Style
    from vizer_core.evaluation import compare as compare
    from vizer_core.gap.stats import measure_gap as measure_gap
    from vizer_core.jobs import answer_questions as answer_questions
    from vizer_core.jobs import enhance as enhance
    from vizer_core.jobs import evaluate as evaluate
    from vizer_core.jobs import improve as improve
    from vizer_core.jobs import read_vqav2 as read_vqav2
    from vizer_core.jobs import train_captioner as train_captioner
    from vizer_core.language.protocol import PrefixLanguageModel as PrefixLanguageModel
    from vizer_core.models import load_captioner as load_captioner
    from vizer_core.models import load_clip as load_clip
    from vizer_core.models import load_lm as load_lm
    from vizer_core.models import load_vlm as load_vlm
    from vizer_core.vizer.objectives import Objective as Objective
    from vizer_core.vizer.policy_gradient import Reward as Reward
    from vizer_core.vlm.protocol import VisionLanguageModel as VisionLanguageModel

    __version__: str

_HOME = {
    "Captioner": "captioners.protocol",
    "ImageCaptioner": "captioners.protocol",
    "ImageSet": "data.image_set",
    "ImageTextEncoder": "clip.protocol",
    "Objective": "vizer.objectives",
    "PrefixLanguageModel": "language.protocol",
    "Reward": "vizer.policy_gradient",
    "Style": "decoding",
    "VisionLanguageModel": "vlm.protocol",
    "answer_questions": "jobs",
    "compare": "evaluation",
    "enhance": "jobs",
    "evaluate": "jobs",
    "improve": "jobs",
    "load_captioner": "models",
    "load_clip": "models",
    "load_lm": "models",
    "load_vlm": "models",
    "measure_gap": "gap.stats",
    "read_images": "data.image_set",
    "read_vqav2": "jobs",
    "train_captioner": "jobs",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a name of the front door when it is asked for, and keep it."""
    from importlib import import_module

    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the front door beside what is imported already."""
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Look the version up in the installed package's metadata."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vizer-core")
    except PackageNotFoundError as error:
        raise ImportError(
            "vizer_core has no version: it is read from the installed package, and none is "
            'installed; from the checkout: pip install -e "."'
        ) from error
