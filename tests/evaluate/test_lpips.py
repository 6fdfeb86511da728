"""LPIPS is computed only where everything it needs is here, and says why otherwise."""

from __future__ import annotations

import hashlib
import socket

import numpy as np
import pytest
import torch

from firstlight.evaluate import Lpips, lpips_missing
from firstlight.evaluate import lpips as lpips_module


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(lpips_module, "find_spec", lambda name: name if name in names else None)


@pytest.mark.parametrize("missing", ["torchmetrics", "torchvision"])
def test_names_the_missing_package(monkeypatch, missing):
    installed(monkeypatch, *({"torchmetrics", "torchvision"} - {missing}))
    assert f"{missing} is not installed" in str(lpips_missing())


def test_a_torchvision_that_does_not_load_is_no_crash(monkeypatch):
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    installed(monkeypatch, "torchmetrics", "torchvision")
    monkeypatch.setattr(lpips_module, "import_module", broken)
    assert "does not load" in str(lpips_missing())


def test_weights_must_be_there_and_whole(monkeypatch, tmp_path):
    content = b"weights"
    digits = hashlib.sha256(content).hexdigest()[:8]
    weights = tmp_path / f"alexnet-owt-{digits}.pth"
    installed(monkeypatch, "torchmetrics", "torchvision")
    monkeypatch.setattr(lpips_module, "_weights_file", lambda: weights)

    assert weights.name in str(lpips_missing())
    weights.write_bytes(content[:-1])
    assert "damaged" in str(lpips_missing())
    weights.write_bytes(content)
    assert lpips_missing() is None


def test_the_weights_file_is_torchvisions(monkeypatch, tmp_path):
    class Models:
        class AlexNet_Weights:  # noqa: N801
            class DEFAULT:
                url = "somewhere/models/alexnet-owt-7be5be79.pth"

    monkeypatch.setattr(lpips_module, "import_module", {"torchvision.models": Models}.__getitem__)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lpips_module._weights_file() == tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth"


class Difference:
    """Stands in for the network: what the wrapper feeds it is what is tested."""

    def __init__(self, **settings: object) -> None:
        assert settings == {"net_type": "alex", "normalize": True}

    def reset(self) -> None:
        pass

    def __call__(self, test: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        assert test.shape == reference.shape == (1, 3, 70, 80)
        assert test.min() >= 0 and test.max() <= 1
        return (test - reference).abs().mean()


def test_the_wrapper_feeds_planes_and_hides_what_is_masked(monkeypatch):
    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", Difference)
    metric = Lpips()
    photo, rendered = np.full((70, 80, 3), 51, np.uint8), torch.full((70, 80, 3), 0.3)
    assert metric(rendered, photo) == pytest.approx(0.1, abs=1e-6)
    mask = np.zeros((70, 80), np.uint8)
    mask[:35] = 255
    assert metric(rendered, photo, mask) == pytest.approx(0.05, abs=1e-6)
    assert metric(rendered[:63], photo[:63]) is None


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    reason = lpips_missing()
    assert reason is None or reason.startswith("not computed: ")
