"""Weights that somebody else trained: on which terms, whether they are here, and who can use them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Pretrained:
    """The weights of one network. They are never shipped, and fetched only by what is asked to use them."""

    name: str
    licence: str  # in the words of who publishes them
    model: str  # on the Hugging Face hub, or a folder
    packages: tuple[str, ...]  # that must be importable
    install: str  # how to get these

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed."""
        return tuple(package for package in self.packages if find_spec(package) is None)

    @property
    def at_hand(self) -> bool:
        """Whether nothing has to be installed or fetched. Weights count as safetensors alone."""
        return not self.missing and any(path.exists() for path in self._folder().rglob("*.safetensors"))

    def _folder(self) -> Path:
        """Where they are, if they are here: the model's own folder, or its place in the hub's cache."""
        if Path(self.model).is_dir() or find_spec("huggingface_hub") is None:
            return Path(self.model)
        from huggingface_hub.constants import HF_HUB_CACHE

        return Path(HF_HUB_CACHE, f"models--{self.model.replace('/', '--')}", "snapshots")


@dataclass(frozen=True)
class Use:
    """That something works with any one of some weights."""

    choices: tuple[Pretrained, ...]
    option: str = ""  # of 'firstlight fit' that asks for them; "": they are used where they are at hand
    instead: str = ""  # what stands in for them; "": nothing does, they are needed

    @property
    def needed(self) -> bool:
        return not self.instead

    @property
    def at_hand(self) -> bool:
        return any(one.at_hand for one in self.choices)

    @property
    def licences(self) -> tuple[str, ...]:
        """Their names alone, without what they forbid."""
        return tuple(dict.fromkeys(re.split("[:,]", one.licence)[0] for one in self.choices))


@runtime_checkable
class UsesPretrained(Protocol):
    """A part of a recipe that can."""

    @property
    def pretrained(self) -> tuple[Use, ...]: ...
