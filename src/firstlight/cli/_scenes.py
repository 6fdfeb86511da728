"""Commands that show, describe and change scenes, whoever made them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from firstlight.cli._output import write_json
from firstlight.errors import InputError
from firstlight.progress import Terminal


def view(scenes: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCENE|RUN")], port: int = 8080) -> int:
    """Look at scene files or runs in the browser, side by side where there are several.

    Args:
        scenes: Scene files of any format, or run folders.
        port: On 127.0.0.1; another free one when it is taken.
    """
    from firstlight.view import open_scene

    viewer = open_scene(*scenes, port=port)
    print(f"Open {viewer.url} in a browser. Ctrl-C ends it.", flush=True)  # into a pipe or a log too
    viewer.wait()
    return 0


def share(
    scenes: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCENE|RUN")],
    out: Path = Path("scene.html"),
    cameras: bool = True,
) -> int:
    """Write one page that shows a scene in any browser, from disk or from any web server.

    Args:
        scenes: Scene files or run folders; several stand side by side.
        out: Page to write. It holds everything and asks nobody for anything.
        cameras: Also tell where the photos were taken and what they are called (never the photos).
    """
    from firstlight.view import share as write_page

    shared = write_page(*scenes, out=out, cameras=cameras, progress=Terminal())
    print(f"{shared.path}: {shared.gaussians:,} Gaussians, {shared.bytes / 1e6:.1f} MB")
    return 0


def render(
    scene: Annotated[Positional[Path], arg(metavar="SCENE|RUN")],
    out: Path,
    orbit: bool = False,
    path: Path | None = None,
    view: str | None = None,
    size: str = "1280x720",
    fps: int = 30,
    seconds: float = 8.0,
    background: str | None = None,
) -> int:
    """Film a scene, or take one picture of it.

    Args:
        scene: A scene file or a run folder.
        out: A .mp4, .mov or .mkv, a name without an ending for a folder of PNGs, or a .png with --view.
        orbit: Once around what the scene shows: what happens without --path and --view.
        path: Fly through the cameras of a poses.json, a cameras.json, or a list of views.
        view: One picture from there: what 'Copy view' on the page of 'firstlight view' gives.
        size: Width x height in pixels.
        fps: Frames a second.
        seconds: How long the film is.
        background: black, white, grey or #rrggbb. By default that of the photos, mostly black.
    """
    from firstlight.view import film

    if orbit + (path is not None) + (view is not None) > 1:
        raise InputError("--orbit, --path and --view: give one of them.")
    width, _, height = size.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise InputError(f"--size {size}: expected width x height, such as 1280x720.")
    made = film(
        scene,
        out,
        path=path,
        view=view,
        size=(int(width), int(height)),
        fps=fps,
        seconds=seconds,
        background=background,
        progress=Terminal(),
    )
    print(made)
    return 0


def info(scene: Annotated[Positional[Path], arg(metavar="SCENE")]) -> int:
    """Say what is in a scene file.

    Args:
        scene: A scene file of any format, or a run folder.
    """
    from firstlight.files import describe

    about = describe(scene)
    low, high = about["middle_90_percent"]
    table = Table(show_header=False, box=None)
    # As text: brackets in a file's name are no markup.
    table.add_row("file", Text(f"{about['file']} ({about['bytes'] / 1e6:.1f} MB, {about['format']})"))
    table.add_row("Gaussians", f"{about['gaussians']:,} of {about['bytes'] / about['gaussians']:.1f} bytes")
    table.add_row("spherical harmonics", f"degree {about['sh_degree']}")
    table.add_row("middle 90 %", " × ".join(f"{a:.3g} … {b:.3g}" for a, b in zip(low, high, strict=True)))
    table.add_row("median size", f"{about['median_size']:.3g} scene units")
    table.add_row("median opacity", f"{about['median_opacity']:.2f}")
    Console().print(table)
    return 0


def convert(
    scenes: Annotated[Positional[tuple[Path, ...]], arg(metavar="IN [IN ...] OUT")],
    box: tuple[float, float, float, float, float, float] | None = None,
    sphere: tuple[float, float, float, float] | None = None,
    min_opacity: float = 0.0,
    keep: int | None = None,
    degree: int | None = None,
    up: Literal["x", "y", "z", "-x", "-y", "-z"] | None = None,
    up_was: Literal["x", "y", "z", "-x", "-y", "-z"] = "-y",
    scale: float = 1.0,
    rotate: tuple[float, float, float] = (0.0, 0.0, 0.0),
    translate: tuple[float, float, float] = (0.0, 0.0, 0.0),
    spz_version: Literal[2, 3, 4] | None = None,
) -> int:
    """Write a scene in another format, by its ending; several are merged. Changes come in this order.

    Args:
        scenes: Scene files of any format, or run folders; the last name is the file to write.
        box: Keep what lies between two corners: x y z X Y Z.
        sphere: Keep what lies around a centre: x y z radius.
        min_opacity: Drop what is fainter.
        keep: That many Gaussians, the most important ones.
        degree: Cut the spherical harmonics to this degree.
        up: Turn the scene so that this direction is up.
        up_was: The direction that was up; in scenes of photos it is -y.
        scale: Make it larger by this factor.
        rotate: Degrees about x, then y, then z.
        translate: Move it by x y z.
        spz_version: Of an .spz file; by default 3, which more programs open.
    """
    from firstlight import files

    if len(scenes) < 2:
        raise InputError("convert needs a scene to read and the name of the file to write.")
    *inputs, out = scenes
    written = files.convert(
        inputs,
        out,
        box=box,
        sphere=sphere,
        min_opacity=min_opacity,
        keep=keep,
        degree=degree,
        up=up,
        up_was=up_was,
        scale=scale,
        rotate=rotate,
        translate=translate,
        spz_version=spz_version,
    )
    print(f"{len(written):,} Gaussians in {out}")
    return 0


def compress(
    scene: Annotated[Positional[Path], arg(metavar="RUN|SCENE")],
    target_mb: float,
    out: Path | None = None,
    json_file: Annotated[Path | None, arg(name="json")] = None,
    max_size: int = 480,
    seed: int = 0,
) -> int:
    """Make a small file of a scene: what is seen least is rounded most. 'firstlight convert' opens it again.

    Args:
        scene: A run folder, whose cameras say what is seen, or a scene file of any format.
        target_mb: Size to make, in millions of bytes; met within 5 %.
        out: File to write. By default scene.flz in the run folder, or beside the scene under its name.
        json_file: Also write the curve of sizes and PSNR there.
        max_size: Long side of the pictures it is judged by, in pixels.
        seed: Of the random signs that measure what is seen.
    """
    from dataclasses import asdict

    from firstlight.compress import compress_file, size_in_words

    out = out or (scene / "scene.flz" if scene.is_dir() else scene.with_suffix(".flz"))
    made = compress_file(scene, target_mb, out, max_size=max_size, seed=seed, progress=Terminal())
    table = Table("size", "PSNR to the scene", "Gaussians", "quality", box=None)
    for point in made.curve:
        mark = " ◀" if point == made.point else ""
        table.add_row(
            size_in_words(point.bytes),
            f"{point.psnr:.2f} dB",
            f"{point.gaussians:,}",
            f"{point.quality:.2f}{mark}",
        )
    Console().print(table)
    print(f"{size_in_words(made.point.bytes)}, PSNR {made.point.psnr:.2f} dB to the scene: {out}")
    if json_file is not None:
        curve = {"chosen": asdict(made.point), "curve": [asdict(point) for point in made.curve]}
        write_json(json_file, curve)
    return 0
