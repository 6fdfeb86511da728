"""Image to image by diffusers, in whatever model its ``AutoPipelineForImage2Image`` can load."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from firstlight.errors import InputError

STEPS = 50  # of DDIM from pure noise; strength says how many of them are walked
SIDE = 8  # pixels that the sides of pictures must be multiples of, for most models


class Diffusion:
    """A loaded pipeline. Only safetensors are read, and no code that comes with a model is run."""

    def __init__(self, model: str) -> None:
        from diffusers import AutoPipelineForImage2Image, DDIMScheduler

        try:
            pipeline: Any = AutoPipelineForImage2Image.from_pretrained(model, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:  # KeyError: an index without its class
            raise InputError(
                f"{model}: the diffusion model cannot be loaded ({str(error).splitlines()[0]}). It comes "
                "from the Hugging Face hub; or give a folder that diffusers saved as safetensors."
            ) from error
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline = pipeline

    @torch.no_grad()
    def __call__(self, rendered: Tensor, strength: float, seed: int) -> Tensor:
        height, width, _ = rendered.shape
        padded = np.pad(rendered.numpy(), ((0, -height % SIDE), (0, -width % SIDE), (0, 0)), mode="edge")
        found = self.pipeline(
            prompt="",
            image=Image.fromarray(padded),
            strength=max(strength, 1 / STEPS),  # one step at least
            num_inference_steps=STEPS,
            guidance_scale=1.0,  # no prompt, nothing to be guided by
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        picture = torch.from_numpy(np.nan_to_num(found)[:height, :width])
        return (picture.clamp(0, 1) * 255).round().byte()
