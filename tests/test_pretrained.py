"""Weights that somebody else trained: whether they are here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firstlight.pretrained import Pretrained, Use

NETWORK = Pretrained("net", "MIT: but", "someone/net", (), "pip install net")


def test_at_hand_where_the_hub_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--someone--net" / "snapshots" / "1" / "unet"
    place.mkdir(parents=True)
    seen = []
    for made in ("weights.bin", "weights.safetensors", None):
        if made is not None:
            (place / made).symlink_to(tmp_path / "blob" if made.endswith("safetensors") else Path(__file__))
        else:
            (tmp_path / "blob").touch()
        seen.append(NETWORK.at_hand)
    assert seen == [False, False, True], "neither a pickle nor a download that was broken off"
    assert not replace(NETWORK, packages=("no_such_package",)).at_hand


def test_at_hand_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    assert replace(NETWORK, model=str(tmp_path)).at_hand
    assert not replace(NETWORK, model=str(tmp_path / "other")).at_hand


def test_any_one_of_several_will_do(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    use = Use((replace(NETWORK, packages=("no_such_package",)), replace(NETWORK, model=str(tmp_path))))
    assert use.at_hand and use.needed and use.licences == ("MIT",)
    assert not Use(use.choices, instead="something").needed
