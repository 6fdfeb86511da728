"""Clean a scene up, turn it and save it: `python examples/02_edit_scene.py SCENE.ply OUT.ply`."""

import sys

import torch

import firstlight as fl

scene = fl.Gaussians.load(sys.argv[1])

# Faint Gaussians and far-off stragglers make files large and pictures hazy.
distance = (scene.means - scene.means.median(0).values).norm(dim=-1)
scene = scene.select((scene.opacities > 0.05) & (distance < 10 * distance.median()))

# Half a turn about the viewing axis, for viewers that hold y to point upwards. Colours turn along.
upside = fl.Similarity(1.0, torch.diag(torch.tensor([-1.0, -1.0, 1.0])), torch.zeros(3))
scene.transform(upside).save(sys.argv[2])
print(f"{len(scene):,} Gaussians in {sys.argv[2]}")
