"""Which rule of decoding the options mean, beside what a method has by itself."""

from __future__ import annotations

import pytest
import typer

from vizer_core.captioners import zerocap
from vizer_core.captioners.registry import Parts, captioner_of
from vizer_core.cli.decoding_options import decoding_of
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.models import language_model_of
from vizer_core.decoding import Beam, Greedy, Sample, Style

CLIPRE = ["--method", "clipre", "--memory", 50]  # 20,000 by itself: a minute of encoding
OWN = Beam(4, max_tokens=16, length_penalty=0.5)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, OWN),
        ({"max_tokens": 5}, Beam(4, max_tokens=5, length_penalty=0.5)),
        ({"beams": 2}, Beam(2, max_tokens=16, length_penalty=0.5)),
        ({"beams": 1}, Greedy(16)),
        ({"temperature": 0.0}, Greedy(16)),
        ({"temperature": 0.7}, Sample(0.7, max_tokens=16)),
        ({"temperature": 0.7, "beams": 1}, Sample(0.7, max_tokens=16)),
        ({"temperature": 0.0, "beams": 3, "max_tokens": 9}, Beam(3, 9, 0.5)),
    ],
    ids=str,
)
def test_what_is_not_given_stays_the_methods_own(given, wanted):
    assert decoding_of(OWN, **given) == wanted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"beams": 0}, "beams is 0: wanted at least 1"),
        ({"beams": -3}, "beams is -3: wanted at least 1"),
        ({"temperature": -1.0}, r"temperature is -1\.0: wanted at least 0"),
        ({"temperature": float("nan")}, "temperature is nan: wanted at least 0"),
    ],
    ids=str,
)
def test_a_style_that_means_no_rule_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        Style(**given)


def test_a_sampled_method_keeps_its_share_of_the_mass():
    assert decoding_of(Sample(1.0, top_p=0.9), temperature=0.5) == Sample(0.5, top_p=0.9)
    assert decoding_of(Sample(1.0, top_p=0.9), max_tokens=3) == Sample(1.0, 0.9, 3)


def test_beams_and_drawing_exclude_each_other():
    with pytest.raises(typer.BadParameter, match=r"--beams 4 .* --temperature 0\.5 .* one of the"):
        decoding_of(Greedy(), beams=4, temperature=0.5)


def captions(vizer, *words) -> list[str]:
    done = vizer("caption", *words)
    assert done.exit_code == 0, done.stderr
    return [line.partition("\t")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "way",
    [["--method", "maccap_pass"], ["--method", "magic"], ["--method", "zerocap"],
     ["--model", "drawn-vlm-web"]],
    ids=lambda way: way[1],
)  # fmt: skip
def test_captions_have_at_most_the_tokens_that_are_asked_for(way, vizer, disk):
    image = disk.images / "photo 00.jpg"
    long, short = captions(vizer, image, *way), captions(vizer, image, *way, "--max-tokens", 1)
    assert len(short[0].split()) <= 1 < len(long[0].split())


@pytest.mark.parametrize("way", [["--method", "capdec"], ["--model", "drawn-vlm-web"]], ids=str)
def test_temperature_draws_by_the_seed_and_nothing_else_does(way, vizer, disk):
    words = [disk.images, *way]
    greedy = captions(vizer, *words, "--beams", 1)
    assert captions(vizer, *words, "--temperature", 0, "--seed", 5) == greedy
    hot = captions(vizer, *words, "--temperature", 1.5)
    assert captions(vizer, *words, "--temperature", 1.5) == hot != greedy
    assert captions(vizer, *words, "--temperature", 1.5, "--seed", 5) != hot


def test_beams_and_the_prompt_reach_who_writes(vizer, disk):
    from vizer_core.cli.models import read_images
    from vizer_lab.zoo import load_drawn_vlm

    _, images = read_images(disk.images)
    vlm = load_drawn_vlm("drawn-vlm-web", "cpu")
    wanted = vlm.caption(images, decoding=Beam(3), prompt="a photo of")
    asked = ["--beams", 3, "--prompt", "a photo of"]
    assert captions(vizer, disk.images, "--model", "drawn-vlm-web", *asked) == wanted
    assert wanted != vlm.caption(images)


def test_zerocap_keeps_so_many_beams_after_the_prompt():
    encoder, lm = clip_encoder("drawn", None, "cpu", False), language_model_of("drawn-lm", "cpu")
    style = Style(prompt="a cat", max_tokens=6, beams=2)
    captioner = captioner_of("zerocap", encoder, lm, Parts(small=True), style)
    assert captioner.prompt == "a cat"
    assert (captioner.config.beams, captioner.config.max_tokens) == (2, 6)
    plain = captioner_of("zerocap", encoder, lm, Parts(small=True))
    assert plain.config == zerocap.ZEROCAP_SMALL and plain.prompt == zerocap.ZEROCAP_SMALL_PROMPT


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "clipre", "--beams", 3], "--beams is not used by --method clipre"),
        (["--method", "magic", "--temperature", 1], "--temperature is not used by --method magic"),
        (["--method", "maccap", "--prompt", "a"], "belongs to --method magic, zerocap, and to"),
        (["--method", "zerocap", "--temperature", 1], "--temperature is not used by"),
        (["--method", "maccap", "--memory", 20_000], "--memory is not used by --method maccap"),
        (["--method", "clipre", "--adaptor", "x"], "--captioner is not used by --method clipre"),
        (
            ["--model", "drawn-vlm-web", "--clip", "drawn"],
            "--clip is not used by --model, it belongs",
        ),
        (
            ["--method", "clipre", "--clip", "drawn-clip-50", "--pretrained", "openai"],
            "drawn-clip-50 is shipped with its weights: leave --pretrained openai out",
        ),
        (["--method", "maccap", "--quick-gelu"], "in a file or a folder, the drawn CLIP has which"),
        (
            ["--method", "clipre", "--quick-gelu", "--clip", "ViT-B-32", "--pretrained", "openai"],
            "--quick-gelu is for weights in a file or a folder, the tag openai says which activat",
        ),
        (["--model", "drawn-vlm-web", "--beams", 2, "--temperature", 1], "give one of the two"),
        (
            ["--model", "drawn-vlm-web", "--temperature", -1],
            "--temperature': Input should be greater",
        ),
        (["--model", "drawn-vlm-web", "--max-tokens", 0], "--max-tokens': Input should be greater"),
        (["--model", "drawn-vlm-web", "--batch-size", 0], "--batch-size': Input should be greater"),
    ],
    ids=str,
)
def test_an_option_that_would_be_ignored_is_refused(words, said, vizer, disk):
    done = vizer("caption", disk.images, *words)
    assert done.exit_code == 2 and said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "drawn-vlm-web"], "--model without --temperature draws nothing"),
        (
            ["--model", "drawn-vlm-web", "--temperature", 0],
            "--model without --temperature draws noth",
        ),
        (CLIPRE, "--method clipre draws nothing"),
        (["--method", "maccap_pass"], ""),
        (["--model", "drawn-vlm-web", "--temperature", 1], ""),
    ],
    ids=str,
)
def test_a_seed_where_nothing_is_drawn_is_remarked_on(words, said, vizer, disk):
    image = disk.images / "photo 00.jpg"
    done = vizer("caption", image, *words, "--seed", 7)
    assert done.exit_code == 0, done.output
    assert ("changes nothing" in done.stderr) == bool(said) and said in done.stderr
    assert "changes nothing" not in vizer("caption", image, *words).stderr
    assert "changes nothing" not in vizer("--quiet", "caption", image, *words, "--seed", 7).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "magic", "--corpus", "drawn-home"], "--corpus is not used by --method magic"),
        ([*CLIPRE, "--dtype", "auto"], "--dtype is not used by --method clipre"),
        ([*CLIPRE, "--language-model", "drawn-lm"], "--language-model is not used by"),
    ],
    ids=str,
)
def test_what_is_given_alike_to_every_method_is_remarked_on(words, said, vizer, disk):
    image = disk.images / "photo 00.jpg"
    plain = vizer("caption", image, *words[:-2])
    done = vizer("caption", image, *words)
    assert done.exit_code == 0 and done.stdout == plain.stdout
    assert said in done.stderr and said not in plain.stderr
    other = vizer("caption", image, "--model", "drawn-vlm-web", *words[-2:])
    assert other.exit_code == (0 if "--dtype" in words else 2)
