"""A latent diffusion model of a few thousand weights, trained on pictures of stripes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor


def stripes(count: int, generator: torch.Generator, side: int = 16) -> Tensor:
    """Pictures [N, 3, side, side] in [-1, 1]: two colours in stripes of 4 pixels, upright."""
    colours = 1.6 * torch.rand(count, 2, 3, generator=generator) - 0.8
    which = (torch.arange(side) // 4) % 2
    return colours[:, which].permute(0, 2, 1)[:, :, None, :].expand(-1, -1, side, -1).contiguous()


def saved(folder: Path) -> Path:
    """Train autoencoder and denoiser, and save them as diffusers does: model_index.json and safetensors."""
    diffusers, transformers = pytest.importorskip("diffusers"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, sample_size=16,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8, attention_head_dim=4, norm_num_groups=4,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=4, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=8, bos_token_id=2, eos_token_id=3, pad_token_id=3,
        )
    )  # fmt: skip
    _train_autoencoder(vae, generator)
    _train_denoiser(unet, vae, scheduler, text, generator)
    pipeline = diffusers.StableDiffusionImg2ImgPipeline(
        vae, text, _tokenizer(folder / "words"), unet, scheduler, None, None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def _tokenizer(folder: Path):
    from transformers import CLIPTokenizer

    folder.mkdir()
    words = ["a", "a</w>", "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8,
        bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )  # fmt: skip


def _train_autoencoder(vae, generator: torch.Generator, steps: int = 150) -> None:
    adam = torch.optim.Adam(vae.parameters(), 4e-3)
    for _ in range(steps):
        pictures = stripes(16, generator)
        latents = vae.encode(pictures).latent_dist.mean
        loss = (vae.decode(latents).sample - pictures).square().mean() + 1e-3 * latents.square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        spread = vae.encode(stripes(64, generator)).latent_dist.mean.std()
    vae.register_to_config(scaling_factor=float(1 / spread))


def _train_denoiser(unet, vae, scheduler, text, generator: torch.Generator, steps: int = 150) -> None:
    adam = torch.optim.Adam(unet.parameters(), 4e-3)
    with torch.no_grad():
        nothing = text(torch.tensor([[2] + [3] * 7]))[0].expand(16, -1, -1)
    for _ in range(steps):
        with torch.no_grad():
            latents = vae.encode(stripes(16, generator)).latent_dist.mean * vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.randint(0, 1000, (16,), generator=generator)
        noisy = scheduler.add_noise(latents, noise, times)
        loss = (unet(noisy, times, encoder_hidden_states=nothing).sample - noise).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
