"""The rasteriser alone, with gsplat's call and gradients: fits the colours of a ring to a target."""

import torch

import firstlight as fl

turn = torch.linspace(0, 2 * torch.pi, 65)[:-1]
means = torch.stack([turn.cos(), turn.sin(), torch.full_like(turn, 4.0)], -1)  # [N, 3]
quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(64, 1)  # [N, 4]
scales = torch.full((64, 3), 0.08)  # [N, 3]
opacities = torch.full((64,), 0.9)  # [N]
colors = torch.rand(64, 3, requires_grad=True)  # [N, 3]
viewmats = torch.eye(4)[None]  # [C, 4, 4]
Ks = torch.tensor([[[200.0, 0.0, 128.0], [0.0, 200.0, 128.0], [0.0, 0.0, 1.0]]])  # [C, 3, 3]

optimizer = torch.optim.Adam([colors], lr=0.05)
for step in range(100):
    picture, alpha, meta = fl.rasterization(means, quats, scales, opacities, colors, viewmats, Ks, 256, 256)
    loss = (picture - alpha.detach() * torch.tensor([1.0, 0.5, 0.1])).abs().mean()
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step}: loss {loss.item():.5f}")
