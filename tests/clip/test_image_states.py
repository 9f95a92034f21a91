"""One pass taken apart: every part equals an independent way of computing it."""

from __future__ import annotations

import pytest
import torch
from tiny_clip import config_with, noise_images, tiny_encoder
from torch import nn

from vizer_core.clip import ImageStates
from vizer_core.clip.features import PairedFeatures
from vizer_core.shapes import unit_norm

AVERAGE = config_with(vision={"pool_type": "avg"})
AVERAGE_LATE_NORM = config_with(vision={"pool_type": "avg", "final_ln_after_pool": True})
LAYER_SCALE = config_with(vision={"ls_init_value": 0.3})
ONE_HEAD = config_with(vision={"head_width": 32})
TOWERS = [config_with(), AVERAGE, AVERAGE_LATE_NORM, LAYER_SCALE, config_with(quick_gelu=True)]


def pixels_for(encoder, count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.stack([encoder.preprocess(image) for image in noise_images(count, seed)])


@pytest.mark.parametrize("config", TOWERS)
def test_global_features_equal_encode_image(config):
    encoder = tiny_encoder(config)
    pixels = pixels_for(encoder)
    states = encoder.image_states(pixels, batch_size=3)
    with torch.no_grad():
        own = unit_norm(encoder.model.encode_image(pixels))
    assert (states.image_features - own).abs().max() < 1e-5
    assert states.grid == (4, 4)


@pytest.mark.parametrize("config", TOWERS)
def test_patches_are_projected_tokens_and_agree_with_the_global_feature(config):
    encoder = tiny_encoder(config)
    visual, pixels = encoder.model.visual, pixels_for(encoder)
    with torch.no_grad():
        tokens = visual.ln_post(visual.transformer(visual._embeds(pixels))) @ visual.proj
    states = encoder.image_states(pixels)
    assert (states.patch_features - unit_norm(tokens[:, 1:])).abs().max() < 1e-5
    if states.pool == "cls":
        assert (states.image_features - unit_norm(tokens[:, 0])).abs().max() < 1e-5


@pytest.mark.parametrize("config", TOWERS)
def test_attention_is_the_last_layers_head_mean(config):
    encoder = tiny_encoder(config)
    visual, pixels = encoder.model.visual, pixels_for(encoder)
    first, last = visual.transformer.resblocks
    with torch.no_grad():
        entering = first(visual._embeds(pixels))
        normed = last.ln_1(entering)
        _, oracle = last.attn(normed, normed, normed, need_weights=True)
    states = encoder.image_states(pixels)
    assert (states.attention - oracle).abs().max() < 1e-5
    assert (states.attention.sum(dim=-1) - 1).abs().max() < 1e-5
    assert oracle.amax() > 0.2  # the map is not flat, so a wrong layer would show


def test_attention_follows_the_last_layer_only():
    encoder = tiny_encoder()
    for block in encoder.model.visual.transformer.resblocks[:-1]:
        nn.init.zeros_(block.attn.in_proj_weight)
    with torch.no_grad():
        encoder.model.visual.transformer.resblocks[-1].attn.in_proj_weight.mul_(3)
    states = encoder.image_states(noise_images(2))
    assert states.attention.amax() > 0.3  # earlier layers: exactly 1/17 everywhere


def peak_on_patches(encoder) -> None:
    """Make each query of the last block attend to one token, never the class token."""
    visual = encoder.model.visual
    block = visual.transformer.resblocks[-1]
    with torch.no_grad():
        entering = visual.transformer.resblocks[0](visual._embeds(pixels_for(encoder)))
        width = entering.shape[-1]
        weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
        weight[:width] = 0  # every query is the same vector, the bias
        keys = nn.functional.linear(
            block.ln_1(entering), weight[width : 2 * width], bias[width : 2 * width]
        )
        towards_patches = keys[:, 1:].mean(dim=(0, 1)) - keys[:, 0].mean(dim=0)
        bias[:width] = 1e4 * towards_patches


@pytest.mark.parametrize("pool", ["tok", "avg"])
def test_counterfactual_of_the_only_attended_patch_is_the_global_feature(pool):
    encoder = tiny_encoder(config_with(vision={"head_width": 32, "pool_type": pool}))
    peak_on_patches(encoder)
    states = encoder.image_states(pixels_for(encoder))
    weight, token = states.attention[:, 0].max(dim=-1)
    assert bool((weight > 0.999).all()) and bool((token > 0).all())
    rows = torch.arange(len(token))
    looked_at = states.counterfactual_features[rows, token - 1]
    assert (looked_at - states.image_features).abs().max() < 1e-5
    others = torch.einsum("npd,nd->np", states.counterfactual_features, states.image_features)
    assert (others < 0.9999).any()


@pytest.mark.parametrize("config", TOWERS)
def test_counterfactual_equals_a_forward_with_rewritten_attention(config):
    """Run the block by hand, with an attention matrix that is one-hot on patch 5."""
    encoder = tiny_encoder(config)
    visual, pixels = encoder.model.visual, pixels_for(encoder)
    first, last = visual.transformer.resblocks
    with torch.no_grad():
        x = first(visual._embeds(pixels))
        width = x.shape[-1]
        joint = nn.functional.linear(last.ln_1(x), last.attn.in_proj_weight, last.attn.in_proj_bias)
        only_fifth = joint[..., 2 * width :][:, 5:6].expand(-1, x.shape[1], -1)
        x = x + last.ls_1(last.attn.out_proj(only_fifth))
        x = x + last.ls_2(last.mlp(last.ln_2(x)))
        wanted = unit_norm(visual._pool(x)[0] @ visual.proj)
    got = encoder.image_states(pixels).counterfactual_features[:, 4]
    assert (got - wanted).abs().max() < 1e-5


def test_states_do_not_depend_on_the_batch_split():
    encoder, images = tiny_encoder(), noise_images(5)
    whole, split = encoder.image_states(images), encoder.image_states(images, batch_size=2)
    for key in ("image_features", "patch_features", "attention", "counterfactual_features"):
        assert (getattr(whole, key) - getattr(split, key)).abs().max() < 1e-5


def test_one_pass_is_one_pass():
    encoder, calls = tiny_encoder(), []
    encoder.model.visual.conv1.register_forward_hook(lambda *_: calls.append(1))
    encoder.image_states(noise_images(3))
    assert len(calls) == 1
    block = encoder.model.visual.transformer.resblocks[-1]
    assert not block._forward_hooks and not block._forward_pre_hooks


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"timm_model_name": "vit_tiny_patch16_224", "image_size": 224}, "TimmModel"),
        ({"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}, "ModifiedResNet"),
        ({"attentional_pool": True, "attn_pooler_heads": 4}, "separate attention layer"),
        ({"qk_norm": True}, "CustomResidualAttentionBlock"),
    ],
)
def test_towers_without_regions_say_so_and_still_encode(vision, message):
    encoder = tiny_encoder_without_peak(config_with(vision=vision))
    assert encoder.encode_text(["w1 w2"]).shape == (1, 16)
    with pytest.raises(ValueError, match=f"no sub-regions.*{message}"):
        encoder.image_states(noise_images(2))
    if message != "separate attention layer":
        assert encoder.encode_image(noise_images(2)).shape == (2, 16)


def tiny_encoder_without_peak(config):
    from tiny_clip import tiny_tokenizer

    from vizer_core.clip import OpenClipEncoder
    from vizer_core.clip.loading import build_model, preprocess_for

    torch.manual_seed(0)
    model = build_model(config)
    return OpenClipEncoder.from_model(
        model, preprocess=preprocess_for(model, {}), tokenizer=tiny_tokenizer, name="odd"
    )


def test_states_survive_the_disk(tmp_path):
    states = tiny_encoder(AVERAGE).image_states(noise_images(3))
    states.save(tmp_path / "states.safetensors", {"seed": 0})
    again = ImageStates.load(tmp_path / "states.safetensors")
    assert again.grid == (4, 4) and again.pool == "patches"
    assert again.attention.equal(states.attention)
    assert again.counterfactual_features.equal(states.counterfactual_features)
    with pytest.raises(ValueError, match="contains 'image_states', wanted 'paired_features'"):
        PairedFeatures.load(tmp_path / "states.safetensors")


def test_wrong_states_are_refused():
    good = tiny_encoder().image_states(noise_images(2))
    parts = {
        key: getattr(good, key)
        for key in ("image_features", "patch_features", "attention", "counterfactual_features")
    }
    with pytest.raises(ValueError, match="do not fit"):
        ImageStates(**parts, grid=(4, 5))
    with pytest.raises(ValueError, match="rows must sum to 1"):
        ImageStates(**(parts | {"attention": good.attention * 2}), grid=(4, 4))
    with pytest.raises(ValueError, match="rows must sum to 1"):
        ImageStates(**(parts | {"attention": good.attention * torch.nan}), grid=(4, 4))
    with pytest.raises(ValueError, match="patch_features must be unit-norm"):
        ImageStates(**(parts | {"patch_features": good.patch_features * 3}), grid=(4, 4))
    with pytest.raises(ValueError, match="empty list"):
        ImageStates.concatenate([])
    with pytest.raises(ValueError, match="different towers"):
        ImageStates.concatenate([good, ImageStates(**parts, grid=(2, 8))])
