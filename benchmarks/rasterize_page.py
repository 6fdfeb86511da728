"""The page about the rasteriser's speed, from what ``rasterize.py`` and ``peers.py`` measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.files.atomic import atomic_write

Rows = list[dict[str, Any]]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Exponent of the power law through the points: 1 is linear growth."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def grid_table(rows: Rows) -> list[str]:
    head = (
        "Gaussians", "picture", "intersections", "projection", "harmonics", "tiles", "blend", "blend back",
        "projection back", "harmonics back", "whole step", "× blending", "scores", "peak MB",
    )  # fmt: skip
    lines = []
    for row in rows:
        ms, blend = row["stages_ms"], row["blending"]
        times = (
            ms["projection"], ms["harmonics"], ms["tiles"], blend["forward_ms"], blend["backward_ms"],
            ms["projection_backward"], ms["harmonics_backward"], row["whole"]["both_ms"],
        )  # fmt: skip
        lines.append(
            (
                row.get("name", f"{row['gaussians']:,}"),
                f"{row['width']}×{row['height']}",
                f"{blend['intersections']:,}",
                *(f"{t:.1f}" for t in times),
                f"{row['whole_over_blending']:.2f}",
                f"{row['whole']['scores_ms']:.1f}",
                f"{row['peak_mb']:.0f}",
            )
        )
    return table(head, lines)


def growth(rows: Rows) -> list[str]:
    """Exponents of growth: in splats at each size, in pixels for each count."""
    sizes = sorted({(r["width"], r["height"]) for r in rows})
    counts = sorted({r["gaussians"] for r in rows})
    both = {(r["gaussians"], (r["width"], r["height"])): r["whole"]["both_ms"] for r in rows}
    in_splats = [
        (f"splats, at {w}×{h}", f"{slope(counts, [both[c, (w, h)] for c in counts]):.2f}") for w, h in sizes
    ]
    pixels = [float(w * h) for w, h in sizes]
    in_pixels = [
        (f"pixels, {c:,} splats", f"{slope(pixels, [both[c, s] for s in sizes]):.2f}") for c in counts
    ]
    return table(("a whole step grows with", "exponent"), in_splats + in_pixels)


def promises(found: dict[str, Any]) -> list[str]:
    """What the rasteriser is held to, and what was measured."""
    rows: Rows = found["grid"]
    counts = sorted({r["gaussians"] for r in rows})
    lines = []
    for row in rows:
        if row["gaussians"] == 100_000 and row["width"] == 512:
            ratio = f"{row['whole_over_blending']:.2f}×"
            lines.append(("whole step over blending alone, 100,000 at 512×384", "at most 2.2×", ratio))
    for size in sorted({(r["width"], r["height"]) for r in rows}):
        of_size = {r["gaussians"]: r for r in rows if (r["width"], r["height"]) == size}
        most, fewer = of_size[counts[-1]], of_size[counts[-2]]
        more = counts[-1] / counts[-2]
        grown = most["whole"]["both_ms"] / fewer["whole"]["both_ms"]
        tiles = most["stages_ms"]["tiles"] / fewer["stages_ms"]["tiles"]
        name = f"{counts[-2]:,} to {counts[-1]:,} Gaussians at {size[0]}×{size[1]}: a whole step, tiles alone"
        lines.append((name, f"about {more:.0f}×", f"{grown:.1f}×, {tiles:.1f}×"))
    for row in found.get("training", []):
        name = f"training {row['gaussians']:,} Gaussians at {row['width']}×{row['height']}, Adam and all"
        wanted = "under 4,000 MB" if row["gaussians"] >= 1_000_000 else ""
        lines.append((name, wanted, f"{row['peak_mb']:,.0f} MB, {row['step_ms']:,.0f} ms a step"))
    return table(("", "wanted", "measured"), lines)


def plot(found: dict[str, Any], path: Path) -> None:
    """Whole step against splats for each size, against pixels for each count, and against threads."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "firstlight"
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(14, 4), constrained_layout=True)
    for size in sorted({(r["width"], r["height"]) for r in found["grid"]}):
        rows = [r for r in found["grid"] if (r["width"], r["height"]) == size]
        counts = [r["gaussians"] for r in rows]
        left.loglog(counts, [r["whole"]["both_ms"] for r in rows], "o-", label=f"{size[0]}×{size[1]}")
    left.set(xlabel="Gaussians", ylabel="whole step, ms", title="forward and backward")
    left.legend()
    left.grid(alpha=0.3)
    for count in sorted({r["gaussians"] for r in found["grid"]}):
        rows = [r for r in found["grid"] if r["gaussians"] == count]
        pixels = [r["width"] * r["height"] for r in rows]
        middle.loglog(pixels, [r["whole"]["both_ms"] for r in rows], "o-", label=f"{count:,}")
    middle.set(xlabel="pixels", title="the same, for so many Gaussians")
    middle.legend()
    middle.grid(alpha=0.3)
    threads = [r["threads"] for r in found["threads"]]
    right.plot(threads, [r["whole"]["both_ms"] for r in found["threads"]], "o-")
    right.set(xlabel="threads", title="200,000 Gaussians at 1024×768", xticks=threads, ylim=(0, None))
    right.grid(alpha=0.3)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def peers_table(peers: list[dict[str, Any]]) -> list[str]:
    def time(row: dict[str, Any], key: str) -> str:
        return f"{row[key]:.0f}" if key in row else "–"

    return table(
        ("package", "what happens on a CPU", "theirs, ms", "ours, ms", "theirs / ours"),
        [
            (
                f"{row['name']} {row['version']}",
                row["note"],
                time(row, "theirs_ms"),
                time(row, "ours_ms"),
                f"{row['theirs_ms'] / row['ours_ms']:.0f}×" if "theirs_ms" in row else "–",
            )
            for row in peers
        ],
    )


def write_page(found: dict[str, Any], path: Path) -> None:
    about, packages = found["machine"], found["versions"]
    lines = [
        "# How fast the rasteriser is",
        "",
        "Written by `benchmarks/rasterize.py` and `benchmarks/peers.py`, not by hand. Medians in ms on "
        f"{about['cpu']}, {about['cores']} cores; "
        + ", ".join(f"{name} {version}" for name, version in packages.items())
        + ". Absolute times are this machine's; look at the ratios.",
        "",
    ]
    if "workloads" in found:
        lines += ["## Beside a hand-written AVX2 blender", ""]
        head = (
            "workload",
            "forward",
            "backward",
            "its forward",
            "its backward",
            "ratios",
            "picture ±",
            "gradients ±",
        )
        rows = []
        for name, row in found["workloads"].items():
            if "forward_ratio" not in row:
                continue
            times = ("forward_ms", "backward_ms", "yardstick_forward_ms", "yardstick_backward_ms")
            rows.append(
                (
                    name,
                    *(f"{row[key]:.1f}" for key in times),
                    f"{row['forward_ratio']:.2f} / {row['backward_ratio']:.2f}",
                    f"{row['picture_difference']:.1e}",
                    f"{row['gradient_difference']:.1e}",
                )
            )
        lines += [*table(head, rows), ""]
    if "grid" in found:
        figure = path.with_suffix(".svg")
        plot(found, figure)
        lines += [
            "## Stage by stage",
            "",
            "Synthetic scenes (Gaussians about 2 px wide that fill the view), harmonics of degree 3, "
            "each in a process of its own; 'whole step' is one `rasterization` and its backward pass, "
            "'scores' one `splat_scores`.",
            "",
            *promises(found),
            "",
            *grid_table(found["grid"]),
            "",
            *growth(found["grid"]),
            "",
            f"![scaling]({figure.name})",
            "",
        ]
        if found["scenes"]:
            named = [row | {"name": name} for name, row in found["scenes"].items()]
            lines += ["Splat files, seen whole:", "", *grid_table(named), ""]
    if "peers" in found:
        lines += ["## Beside what else runs without a GPU", "", found["peers_note"], ""]
        lines += [*peers_table(found["peers"]), ""]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines))
