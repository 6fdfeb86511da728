"""Commands that make a run, and ask a finished one."""

from __future__ import annotations

import os
import sys
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from firstlight.cli._imports import importing
from firstlight.cli._output import conclude, print_summary, write_json
from firstlight.cli._scenes import view as view_scenes
from firstlight.errors import InputError
from firstlight.progress import Terminal

if TYPE_CHECKING:
    from firstlight.pipeline import Run


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
            with LightGlue), or by SIFT with ALIKED for photos that it cannot place (of up to 16 photos).
        resume: Go on with the run in --out that was stopped, with the same PHOTOS and the settings it began
            with.
        live: Watch the scene in the browser while it trains.
    """
    with importing():
        from firstlight import pipeline

    progress = Terminal()
    viewer = None
    if live:
        from firstlight.view import Viewer

        viewer = Viewer()
        progress.note(f"Watch it at {viewer.url}")
    settings: dict[str, Any] = {
        "recipe": recipe,
        "quality": quality,
        "views": views,
        "steps": steps,
        "max_gaussians": max_gaussians,
        "max_size": max_size,
        "minutes": minutes,
        "hold_out": hold_out,
        "seed": seed,
        "poses": poses,
        "refine_cameras": refine_cameras,
        "geometry": geometry,
        "repair": repair,
        "matcher": matcher,
    }
    if resume:
        if out is None:
            raise InputError("--resume needs --out: the folder of the run to go on with.")
        _refuse_changes(settings, pipeline.Run.open(out))
        run = pipeline.resume(out, photos=photos, progress=progress, audience=viewer)
    else:
        run = pipeline.fit(photos, out=out, progress=progress, audience=viewer, **settings)
    if viewer is not None:
        viewer.close()
    return conclude(run, photos)


def _refuse_changes(settings: dict[str, Any], run: Run) -> None:
    """InputError where an option beside --resume is not what the run began with."""
    began, usual = run.about["options"], signature(fit).parameters
    for name, value in settings.items():
        if value not in (usual[name].default, began.get(name)):
            raise InputError(
                f"--{name.replace('_', '-')} {value}: {run.folder} began with {began.get(name)}, and goes on "
                "with that. Leave the option out, or begin a new run in another --out."
            )


def demo(out: Path | None = None, steps: int | None = None, view: bool | None = None) -> int:
    """Run the main job on the built-in photos.

    Args:
        out: Run folder to make. By default a new one under runs/.
        steps: Instead of the recipe's own number.
        view: Open the viewer when done. By default where there is a screen.
    """
    with importing():
        from firstlight import pipeline

    run = pipeline.fit("demo", out=out, steps=steps, progress=Terminal())
    status = conclude(run, "demo")
    if status == 0 and (view if view is not None else _has_screen()):
        return view_scenes((run.folder,))
    return status


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

    measured = pipeline.evaluate(run, photos=photos, progress=Terminal())
    numbers = {"summary": measured.summary, "per_photo": measured.about["per_photo"]}
    if json_file is not None:
        write_json(json_file, numbers)
    print_summary(measured.summary)
    return 0


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

    found = pipeline.pose_object(run, photo, focal=focal, refine=refine, photos=photos, progress=Terminal())
    about = {
        "viewmat": found.viewmat.tolist(),
        "viewmat_matched": found.matched.tolist(),
        "inliers": found.inliers,
        "matches": found.matches,
    }
    if json_file is not None:
        write_json(json_file, about)
    print("object to camera (x right, y down, z forward; scene units):")
    for row in found.viewmat.tolist():
        print("  " + "  ".join(f"{value: .6f}" for value in row))
    print(f"{found.inliers} of {found.matches} matched points agree")
    return 0


def _has_screen() -> bool:
    graphical = (
        sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    )
    return graphical and sys.stdout.isatty()
