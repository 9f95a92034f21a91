"""What every adapter promises, on tiny random instances of the real classes."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.decoding import Beam, Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vlm import CaptionBatch, VisionBatch, VisionLanguageModel, generation

FAMILIES = {
    "idefics3": lambda: tiny_smol("Idefics3"),
    "idefics3 in tiles": lambda: tiny_smol("Idefics3", image_splitting=True),
    "smolvlm": lambda: tiny_smol("SmolVLM"),
    "qwen2": lambda: tiny_qwen("Qwen2VL"),
    "qwen2.5": lambda: tiny_qwen("Qwen2_5_VL"),
}
IMAGES = [*noise_images(2), *noise_images(2, size=(20, 40))]  # other sizes: other prompt lengths


@pytest.fixture(params=FAMILIES)
def vlm(request):
    return FAMILIES[request.param]()


def tower(vlm) -> torch.nn.Module:
    return vlm.base.model.vision_model if vlm.lora_stem == "text_model" else vlm.base.model.visual


def count_calls(module: torch.nn.Module) -> list[int]:
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def marked_prompt(vlm) -> str:
    mark = (
        "<image>"
        if vlm.lora_stem == "text_model"
        else "<|vision_start|><|image_pad|><|vision_end|>"
    )
    return f"{mark} a photo of"


def pixel_inputs(vlm, image, prompt: str) -> dict:
    """Let the model's own processor prepare one image and its prompt."""
    if vlm.lora_stem == "text_model":
        options = {"do_image_splitting": vlm.image_splitting}
    else:
        options = {"size": {"shortest_edge": 16 * 16, "longest_edge": vlm.max_pixels}}
    return dict(vlm.processor(images=[image], text=[prompt], return_tensors="pt", **options))


def test_every_adapter_stands_behind_the_protocol(vlm):
    assert isinstance(vlm, VisionLanguageModel)
    assert vlm.lm_width == 32
    assert vlm.vision_width == vlm.encode_image(IMAGES[:1]).image_features.shape[1]


@pytest.mark.parametrize("index", [0, 3])
def test_cached_features_give_the_states_of_the_pixel_path_bit_for_bit(vlm, index):
    prompt = marked_prompt(vlm)
    inputs = pixel_inputs(vlm, IMAGES[index], prompt)
    vision = vlm.encode_image([IMAGES[index]])
    prefix = vlm.prefix(vision, prompt=prompt)
    cached = vlm.run_text(prefix.embeddings, prefix.mask, prefix.positions)
    with torch.no_grad():
        wanted = vlm.base.model(**inputs, use_cache=False).last_hidden_state
        logits = vlm.base(**inputs, use_cache=False).logits
    assert torch.equal(cached, wanted)
    assert torch.equal(vlm.token_logits(cached), logits)


def test_prompts_are_tokenised_as_the_processor_does(vlm):
    prompt = marked_prompt(vlm)
    ids, mask = vlm.prompt_batch(vlm.encode_image(IMAGES), prompt=prompt)
    for image, row, real in zip(IMAGES, ids, mask, strict=True):
        assert row[real].tolist() == pixel_inputs(vlm, image, prompt)["input_ids"][0].tolist()


def test_the_image_mark_is_put_in_front_of_a_prompt_without_one(vlm):
    vision = vlm.encode_image(IMAGES[:1])
    with_mark, _ = vlm.prompt_batch(vision, prompt=marked_prompt(vlm))
    without, _ = vlm.prompt_batch(vision, prompt=" a photo of")
    assert torch.equal(with_mark, without)


def test_state_j_predicts_token_j(vlm):
    vision = vlm.encode_image(IMAGES)
    generated = vlm.generate(vision, decoding=Greedy(6))
    logits = vlm.token_logits(vlm.caption_states(vision, generated))
    logits[..., vlm.image_token_id] = -torch.inf
    assert logits.shape[1] == generated.ids.shape[1] + 1
    assert torch.equal(logits.argmax(-1)[:, :-1][generated.mask], generated.ids[generated.mask])


def test_a_padded_batch_gives_each_image_its_own_states(vlm):
    vision, captions = vlm.encode_image(IMAGES), vlm.tokenize(["a dog", "cat", "a boat", "red"])
    together = vlm.caption_states(vision, captions)
    for index in range(len(IMAGES)):
        alone = vlm.caption_states(
            vlm.encode_image([IMAGES[index]]), vlm.tokenize([captions.texts[index]])
        )
        torch.testing.assert_close(
            together[index, : alone.shape[1]], alone[0], atol=2e-5, rtol=1e-4
        )


def test_captions_are_written_without_the_vision_tower(vlm):
    calls = count_calls(tower(vlm))
    vision = vlm.encode_image(IMAGES, batch_size=4)
    assert len(calls) == 1
    vlm.generate(vision, decoding=Sample(max_tokens=3), samples=2, generator=seeded(0))
    generated = vlm.generate(vision, decoding=Beam(2, max_tokens=3))
    vlm.caption_states(vision, generated)
    vlm.text_states(generated)
    assert len(calls) == 1


@pytest.mark.parametrize("rule", [Greedy(7), Beam(3, max_tokens=7)])
def test_captions_are_those_of_transformers_generate(vlm, rule):
    vision = vlm.encode_image(IMAGES)
    inputs = vlm.transformers_inputs(vision)
    wanted = vlm.base.generate(
        **inputs,
        **rule.generate_options(),
        suppress_tokens=[vlm.image_token_id],
        eos_token_id=list(vlm.tokens.eos_ids),
        pad_token_id=vlm.tokens.pad,
    )[:, inputs["input_ids"].shape[1] :]
    generated = vlm.generate(vision, decoding=rule)
    assert generated.texts == vlm.decode(wanted)
    assert torch.equal(generated.ids, wanted[:, : generated.ids.shape[1]])


def test_the_same_generator_gives_the_same_captions_however_they_are_batched(vlm, monkeypatch):
    vision = vlm.encode_image(IMAGES)

    def draw(seed: int) -> CaptionBatch:
        rule = Sample(max_tokens=6)
        return vlm.generate(vision, decoding=rule, samples=3, generator=seeded(seed))

    first = draw(1)
    monkeypatch.setattr(generation, "ROWS_AT_ONCE", 3)
    assert torch.equal(draw(1).ids, first.ids)
    assert draw(2).texts != first.texts


def test_samples_of_one_image_stand_together(vlm):
    vision = vlm.encode_image(IMAGES)
    once = vlm.generate(vision, decoding=Greedy(6)).texts
    twice = vlm.generate(vision, decoding=Greedy(6), samples=2).texts
    assert twice == tuple(text for text in once for _ in range(2))


def test_captions_that_share_an_image_get_the_states_of_separate_runs(vlm):
    vision = vlm.encode_image(IMAGES)
    captions = vlm.generate(vision, decoding=Sample(max_tokens=5), samples=3, generator=seeded(0))
    shared = vlm.caption_states(vision, captions)
    apart = vlm.caption_states(vision.select([i // 3 for i in range(12)]), captions)
    real = torch.cat([torch.ones_like(captions.mask[:, :1]), captions.mask], dim=1)
    torch.testing.assert_close(shared[real], apart[real], atol=2e-5, rtol=1e-4)


def test_text_is_read_after_bos_and_without_an_image(vlm):
    captions = vlm.tokenize(["a red dog"])
    ids = torch.tensor([[vlm.tokens.start, *captions.ids[0].tolist()]])
    with torch.no_grad():
        wanted = vlm.text_model(input_ids=ids, use_cache=False).last_hidden_state
    states = vlm.text_states(captions)
    assert torch.equal(states, wanted)
    assert states.shape == (1, captions.ids.shape[1] + 1, 32)


def test_gradients_reach_embeddings_of_text(vlm):
    captions = vlm.tokenize(["a red dog", "cat"])
    embeddings = vlm.embed(captions.ids).clone().requires_grad_()
    states = vlm.text_states_of_embeddings(embeddings, captions.mask)
    torch.testing.assert_close(states, vlm.text_states(captions))
    states[:, -1].square().sum().backward()
    assert embeddings.grad is not None and bool((embeddings.grad[captions.mask] != 0).any())


def test_the_image_token_is_never_written_and_banned_words_never_first(vlm):
    vision = vlm.encode_image(IMAGES)
    head = torch.nn.Linear(32, vlm.embedding_table.shape[0])
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    photo = vlm.tokens.tokenizer.convert_tokens_to_ids("photo")
    with torch.no_grad():
        head.bias[vlm.image_token_id] = 9.0
        head.bias[photo] = 8.0
    vlm.base.lm_head = head
    assert vlm.generate(vision, decoding=Greedy(3)).texts[0] == "photo photo photo"
    for rule in (Greedy(3), Beam(2, max_tokens=3)):
        generated = vlm.generate(vision, decoding=rule, banned=["photo"])
        assert bool((generated.ids[:, 0] != photo).all())
        assert bool((generated.ids[:, 1] == photo).any())


def test_a_prompt_each_is_read(vlm):
    vision = vlm.encode_image(IMAGES[:2])
    captions = vlm.tokenize(["a dog"] * 2)
    each = vlm.caption_states(vision, captions, prompt=["a photo of", "what is the red cat"])
    for index, prompt in enumerate(["a photo of", "what is the red cat"]):
        alone = vlm.caption_states(vision.select([index]), captions.select([0]), prompt=prompt)
        torch.testing.assert_close(each[index], alone[0], atol=2e-5, rtol=1e-4)


def test_parts_of_a_batch_are_the_batch(vlm):
    whole = vlm.encode_image(IMAGES)
    parts = VisionBatch.concatenate([vlm.encode_image([image]) for image in IMAGES])
    torch.testing.assert_close(whole.image_features, parts.image_features)
    assert torch.equal(whole.grid, parts.grid)
    for one, other in zip(whole.image_embeddings, parts.image_embeddings, strict=True):
        torch.testing.assert_close(one, other)


def test_the_fingerprint_knows_the_weights(vlm):
    before = vlm.fingerprint
    del vlm.fingerprint
    with torch.no_grad():
        next(iter(vlm.text_model.layers[0].parameters())).add_(1.0)
    assert vlm.fingerprint != before


def test_wrong_counts_are_refused(vlm):
    vision = vlm.encode_image(IMAGES[:2])
    with pytest.raises(ValueError, match="3 captions for 2 images"):
        vlm.caption_states(vision, vlm.tokenize(["a", "dog", "cat"]))
    with pytest.raises(ValueError, match="1 prompts for 2 images"):
        vlm.generate(vision, decoding=Greedy(3), prompt=["a"])
    with pytest.raises(ValueError, match="samples=0"):
        vlm.generate(vision, decoding=Greedy(3), samples=0)
    with pytest.raises(ValueError, match="one caption per image"):
        vlm.generate(vision, decoding=Beam(2), samples=2)
    with pytest.raises(ValueError, match="got generator=None"):
        vlm.generate(vision, decoding=Sample())
    with pytest.raises(ValueError, match="'zebra' cannot be given or banned as a first word"):
        vlm.generate(vision, decoding=Greedy(), banned=["zebra"])
    with pytest.raises(ValueError, match="no images to encode"):
        vlm.preprocess([])


def test_features_of_another_model_are_refused(vlm):
    vision = vlm.encode_image(IMAGES[:1])
    short = VisionBatch(vision.image_features, (vision.image_embeddings[0][1:],), vision.grid)
    with pytest.raises(ValueError, match="image_seq_len wrong"):
        vlm.generate(short, decoding=Greedy(2))


def test_captioning_images_is_encoding_and_writing(vlm):
    texts = vlm.caption(IMAGES, decoding=Greedy(5), batch_size=2)
    assert texts == list(vlm.generate(vlm.encode_image(IMAGES), decoding=Greedy(5)).texts)
