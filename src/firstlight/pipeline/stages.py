"""The whole way: photos → cameras → start → fit → numbers → report. Each stage leaves its result behind."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from firstlight.capture import load, place_of
from firstlight.errors import InputError
from firstlight.evaluate import REPORT_FILE, write_report
from firstlight.files import alone_in
from firstlight.fitting import (
    CameraRefinement,
    Pace,
    Recipe,
    check_budget,
    fit_gaussians,
    peak_memory_mb,
)
from firstlight.geometry import (
    GEOMETRY_FILE,
    MultiView,
    find_geometry,
    get_provider,
    load_geometry,
    save_geometry,
)
from firstlight.pipeline.machine import machine, versions
from firstlight.pipeline.measuring import measure
from firstlight.pipeline.memory_plan import plan_memory, told, usable_memory_mb
from firstlight.pipeline.options import (
    Options,
    PosedBy,
    as_hold_out,
    check_max_size,
    recipe_for,
    stored_options,
)
from firstlight.pipeline.photos import check_photos, find_cameras, prepare, split_named, split_placed
from firstlight.pipeline.run_folder import Run, claim_folder, new_folder
from firstlight.pipeline.warm_up import REST, STEPS, is_cold, warming
from firstlight.poses import (
    PLACED_FILE,
    Placed,
    get_matcher,
    given,
    load_placed,
    refined,
    save_placed,
)
from firstlight.progress import Progress, Silent
from firstlight.recipes import STANDARD, get_recipe
from firstlight.scene import Capture, Gaussians, HoldOut, Split

# What comes after a fit, for each photo that it is measured with, in steps on whole photos: numbers and
# pictures, and the alignment of its camera. Seen on runs of 240 pixels: 10 to 50, and about 100.
MEASURED, ALIGNED = 20, 100


class Audience(Protocol):
    """Who looks on while a scene is made: a :class:`firstlight.view.Viewer`, say."""

    def show_capture(self, capture: Capture) -> None: ...

    def update(self, gaussians: Gaussians, text: str | None = None) -> None: ...


def fit(
    photos: str | Path | Capture,
    recipe: str | Recipe = "default",
    *,
    out: str | Path | None = None,
    quality: str = STANDARD,
    views: int | None = None,
    steps: int | None = None,
    max_gaussians: int | None = None,
    max_size: int | None = None,
    minutes: float | None = None,
    hold_out: HoldOut | Sequence[str] = "every8",
    seed: int = 0,
    poses: PosedBy = "all",
    refine_cameras: bool = False,
    geometry: str | None = None,
    repair: str | None = None,
    matcher: str = "sift",
    placed: Placed | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
    audience: Audience | None = None,
) -> Run:
    """Turn photos into a scene and a run folder.

    photos: whatever :func:`firstlight.load` takes, or the ``Capture`` that it gave. out: the run folder, by
    default a new one under ``runs/``. quality: a name in ``firstlight.recipes.QUALITIES``: how large photos
    are, how many steps and Gaussians, in proportion to the recipe's own, which are "standard". views: train
    on that many. steps, max_gaussians, max_size (of the photos' long side, in pixels): these win over both.
    minutes: instead of steps, the time of the whole run: the schedule is stretched or pressed, by what steps
    are seen to take, so that it ends in time (``firstlight.fitting.Pace``); what is done before is counted,
    what comes after is guessed.
    hold_out: every 8th photo by name, the named ones, or "none".
    poses: find cameras from all photos, or from those trained on alone; held-out ones are then placed against
    these and aligned to the finished scene, only to measure with. refine_cameras: move training cameras along
    with the scene, as a recipe's ``cameras`` does. geometry: dense geometry before the start, instead of the
    recipe's own choice: a name in ``firstlight.geometry.PROVIDERS`` or "none"; a network that says where
    photos were taken helps to find cameras too. repair: a diffusion model that repairs views between the
    photos, which are then learned from (``RepairedViews``): a name in ``firstlight.repair.REPAIRERS``
    or a folder. matcher: what finds the same points in photos, a name in ``firstlight.poses.MATCHERS``.
    placed: cameras of these photos that were found before, by the same ``poses``, ``hold_out`` and ``views``.
    checkpoint_seconds: between two checkpoints, which :func:`resume` goes on from.
    InputError when the photos or the folder cannot be used.
    """
    check_budget(steps, minutes)
    if max_gaussians is not None and max_gaussians < 1:
        raise InputError(f"{max_gaussians} Gaussians: expected at least 1.")
    check_max_size(max_size)
    name = recipe if isinstance(recipe, str) else recipe.name
    options = Options(
        name,
        quality=quality,
        views=views,
        steps=steps,
        max_gaussians=max_gaussians,
        max_size=max_size,
        minutes=minutes,
        hold_out=as_hold_out(hold_out),
        seed=seed,
        poses=poses,
        refine_cameras=refine_cameras,
        geometry=geometry,
        repair=repair,
        matcher=matcher,
    )
    get_matcher(matcher)  # better now than after minutes
    parts = recipe_for(recipe, options)
    source = photos.source if isinstance(photos, Capture) else place_of(photos)
    stem = Path(source).name if source is not None else "capture"
    run = Run(new_folder(Path("runs") / stem) if out is None else Path(out), {})
    progress = progress or Silent()
    stages = _Stages(run, options, parts, photos, progress, audience, placed)
    with alone_in(run.folder):
        claim_folder(run.folder)
        progress.note(f"Run folder: {run.folder}")
        run.write(
            status="running",
            photos=source,
            options=asdict(options),
            recipe=parts.to_dict(),
            seed=seed,
            steps=parts.steps,
            machine=machine(),
            versions=versions(),
            timings={},
        )
        try:
            return stages.go(checkpoint_seconds)
        except InputError:
            if stages.worked:
                progress.note(f"{run.folder}: keeps the cameras that were found, for --resume.")
            else:
                run.abandon()
            raise


def resume(
    folder: str | Path,
    *,
    photos: str | Path | Capture | None = None,
    recipe: Recipe | None = None,
    placed: Placed | None = None,
    progress: Progress | None = None,
    audience: Audience | None = None,
) -> Run:
    """Go on with a run that was stopped, with the options it began with.

    photos: where the same photos are now, by default where they were; needed where the run was given a
    ``Capture``. recipe: needed where it was given one that has no name in ``firstlight.recipes``. placed: as
    for :func:`fit`, in case that the run was stopped before it had kept its cameras.
    """
    run = Run.open(folder)
    progress = progress or Silent()
    if run.complete:
        progress.note(f"{run.folder}: is complete already.")
        if not (run.folder / REPORT_FILE).exists():  # it was stopped on the last yard
            write_report(run.folder)
        return run
    options = stored_options(run)
    if not resumable(run, recipe):
        raise InputError(
            f"{run.folder}: the recipe '{options.recipe}' has changed since this run began. "
            "Start a new run, or use the version of firstlight that began it."
        )
    parts = recipe_for(recipe or options.recipe, options)
    stages = _Stages(run, options, parts, run.photos(photos), progress, audience, placed)
    with alone_in(run.folder):
        return stages.go()


def resumable(run: Run, recipe: Recipe | None = None) -> bool:
    """Whether the recipe is what it was when ``run`` began; nothing else is gone on with."""
    try:
        options = stored_options(run)
    except InputError:  # of another version
        return False
    parts = recipe_for(recipe or options.recipe, options)
    then = run.about.get("recipe", {})
    return any(  # described before the photos were counted, or after
        one.has_method(then) and (then.get("steps"), then.get("max_size")) == (one.steps, one.max_size)
        for one in parts.variants
    )


def evaluate(
    folder: str | Path, *, photos: str | Path | Capture | None = None, progress: Progress | None = None
) -> Run:
    """Measure a finished run again from its ``scene.ply`` and photos, and write its report anew.

    What it says about how the scene was made stays, and who was held out. photos: where they are now, by
    default where they were. InputError when the run is not finished, or its cameras are gone.
    """
    run = Run.open(folder)
    if not run.complete:
        raise InputError(
            f"{run.folder}: is not finished. Go on with it first: firstlight fit PHOTOS --out … --resume"
        )
    if not (run.folder / PLACED_FILE).exists():  # found anew they might be others than the scene's
        raise InputError(f"{run.folder}: its cameras are gone ({PLACED_FILE}). Fit the photos anew.")
    stages = _Stages(
        run,
        stored_options(run),
        _measured_with(run),
        run.photos(photos),
        progress or Silent(),
        None,
        again=True,
    )
    with alone_in(run.folder):
        source = stages.load()
        capture, split = stages.prepare(stages.place(source), source)
        stages.measure(run.scene, capture, split)
    return run


def _measured_with(run: Run) -> Recipe:
    """A recipe that measures as that of ``run`` did, whatever has become of it since."""
    then = run.about.get("recipe", {})
    try:
        return replace(
            get_recipe("default"),
            few=None,
            max_size=int(then["max_size"]),
            antialiased=bool(then["antialiased"]),
            cameras=CameraRefinement() if then["cameras"] else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{run.folder}: its run.json is not of this version of firstlight ({error})."
        ) from error


class _Stages:
    """One run's way through the stages."""

    def __init__(
        self,
        run: Run,
        options: Options,
        recipe: Recipe,
        photos: str | Path | Capture,
        progress: Progress,
        audience: Audience | None,
        placed: Placed | None = None,
        again: bool = False,  # it is complete, and only to be measured: what it took is known
    ) -> None:
        self.run, self.options, self.recipe = run, options, recipe
        self.photos, self.progress, self.audience = photos, progress, audience
        self.placed = placed  # before this run
        self.again = again
        self.worked = False  # on something that would be a pity to lose
        self.posed = False  # the photos came with cameras

    def go(self, checkpoint_seconds: float = 60.0) -> Run:
        """All of them, from the last one that was finished; nobody else may be at work in the folder."""
        with warming() as kernels:
            source = self.load()
            check_photos(self.recipe, source, self.split(source).train)  # before cameras are found
            self.plan_memory(source)
            placed = self.place(source)
            if source.source is not None:  # where they are now; and they are the same, or had no place
                self.run.write(photos=source.source)
            capture, split = self.prepare(placed, source)
            self.settle(len(split.train))
            if placed.is_refined:  # then the scene is finished, and the run was stopped while it was measured
                self.measure(self.run.scene, capture, split)
                return self.run
            with self.timed("compile"):
                kernels.wait(REST)
            capture = self.densify(capture, split)
            with self.timed("compile"):
                kernels.wait(STEPS)
        if self.audience is not None:
            self.audience.show_capture(capture)
        pace = self.pace(split)
        fitted = fit_gaussians(
            capture,
            self.recipe,
            split,
            seed=self.options.seed,
            folder=self.run.folder,
            fingerprint=self.fingerprint(capture, split),
            checkpoint_seconds=checkpoint_seconds,
            pace=pace,
            progress=self.progress,
            watch=self.audience.update if self.audience else None,
        )
        # Its own watch goes on from the checkpoint: a start that was killed has written no timing.
        self.run.write(timings={**self.run.about["timings"], "fit": round(fitted.seconds, 2)})
        fitted.gaussians.save(self.run.folder / "scene.ply")
        if fitted.model is not None:
            fitted.model.save(self.run.folder)
        self.run.write(
            summary={
                "steps": fitted.step,
                "gaussians": len(fitted.gaussians),
                "fit_seconds": round(fitted.seconds, 2),
            }
        )
        if not fitted.complete:
            self.run.write(status="stopped")
            return self.run
        if fitted.cameras is not None:
            placed = refined(placed, capture, fitted.cameras, split.train)
            save_placed(self.run.folder, placed)
            capture, split = self.prepare(placed, source)
        self.measure(fitted.gaussians, capture, split)
        return self.run

    def settle(self, photos: int) -> None:
        """Now that it is known how many photos train, so is what is fitted to them."""
        self.recipe = self.recipe.for_photos(photos)
        self.run.write(recipe=self.recipe.to_dict())
        if "pace" not in self.run.about:
            self.run.write(steps=self.recipe.steps)

    def pace(self, split: Split) -> Pace | None:
        """How the fit keeps to the time that the run was given: from what other stages took until now."""
        if self.options.minutes is None:
            return None
        other = sum(seconds for stage, seconds in self.run.about["timings"].items() if stage != "fit")
        left = 60 * self.options.minutes - other
        if left <= 0:
            self.progress.note(
                f"The {self.options.minutes:g} minutes are over already: the fit will be short."
            )
        shown = len(split.test or split.train)
        afterwards = shown * (MEASURED + (ALIGNED if self.aligns and split.test else 0))
        decided = {int(step): int(steps) for step, steps in self.run.about.get("pace", {}).items()}

        def keep(known: dict[int, int]) -> None:
            self.run.write(pace=known, steps=known[max(known)])

        return Pace(left, afterwards=afterwards, decided=decided, keep=keep)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Seconds of a stage into ``run.json``, added up over stops."""
        if self.again:
            yield
            return
        began = time.perf_counter()
        try:
            yield
        finally:
            timings = dict(self.run.about.get("timings", {}))
            timings[stage] = round(timings.get(stage, 0.0) + time.perf_counter() - began, 2)
            self.run.write(timings=timings)

    def load(self) -> Capture:
        if isinstance(self.photos, Capture):
            self.posed = self.photos.posed
            return self.photos
        with self.timed("load"):
            capture = load(self.photos, progress=self.progress)
        self.posed = capture.posed
        self.progress.note(f"{self.photos}: {capture.layout}, {len(capture)} photos")
        if capture.set_aside:
            self.progress.note(f"  set aside: {len(capture.set_aside)}")
            for item in capture.set_aside:
                self.progress.note(f"    {item.name}: {item.reason}")
        return capture

    def plan_memory(self, source: Capture) -> None:
        """Say what the run will need before it begins, and what to do where there is too little."""
        train = self.split(source).train
        posed = source.posed or self.placed is not None
        plan = plan_memory(source.photos, train, self.recipe.for_photos(len(train)), posed)
        for line in told(plan, usable_memory_mb(), compiling=is_cold()):
            self.progress.note(line)
        self.run.write(memory_planned_mb={"total": round(plan.total, 1), **asdict(plan)})

    def place(self, capture: Capture) -> Placed:
        """Cameras: those that came with the photos, that were found before, or new ones."""
        if (self.run.folder / PLACED_FILE).exists():
            return load_placed(self.run.folder, capture)
        with self.timed("poses"):
            placed = self.placed or (given(capture) if capture.posed else self.found(capture))
            save_placed(self.run.folder, placed)
            self.worked = not capture.posed and self.placed is None
        return placed

    def found(self, capture: Capture) -> Placed:
        """Cameras from the photos: from all, or from those to train on, against which others are placed."""
        source = None if self.recipe.geometry is None else get_provider(self.recipe.geometry).make()
        return find_cameras(
            capture,
            self.split(capture) if self.options.poses == "train" else None,
            matcher=self.options.matcher,
            guess=source.cameras if isinstance(source, MultiView) else None,
            seed=self.options.seed,
            progress=self.progress,
        )

    def split(self, capture: Capture) -> Split:
        return capture.split(self.options.hold_out, self.options.views)

    def prepare(self, placed: Placed, source: Capture) -> tuple[Capture, Split]:
        """Photos at the size of the fit, through ideal lenses; and who is held out."""
        with self.timed("prepare"):
            capture = prepare(placed.capture, self.recipe.max_size)
            asked = self.options
            if self.again:
                return capture, split_named(capture, self.run.about["split"])
            split = split_placed(capture, source, asked.hold_out, asked.views, asked.poses)
            size = self.recipe.for_photos(len(split.train)).max_size
            if size != self.recipe.max_size:  # nothing was decoded yet
                capture = prepare(placed.capture, size)
        names = [photo.name for photo in capture.photos]
        self.run.write(
            layout=capture.layout,
            background=capture.background,
            split={"train": [names[i] for i in split.train], "test": [names[i] for i in split.test]},
            set_aside=[asdict(item) for item in capture.set_aside],
        )
        self.progress.note(f"{len(split.train)} photos to train on, {len(split.test)} held out")
        return capture, split

    def densify(self, capture: Capture, split: Split) -> Capture:
        """Depths and a cloud, where the recipe asks: from photos that train alone, found before or anew."""
        if self.recipe.geometry is None:
            return capture
        names = [capture.photos[i].name for i in split.train]
        if (self.run.folder / GEOMETRY_FILE).exists():
            return load_geometry(self.run.folder, names).attach(capture)
        provider = get_provider(self.recipe.geometry)
        with self.timed("geometry"):
            found = find_geometry(
                capture,
                provider.make(),
                photos=split.train,
                seed=self.options.seed,
                max_size=self.recipe.geometry_size,
                progress=self.progress,
            )
            save_geometry(self.run.folder, found)
        known = [float((one.log_depth > 0).mean()) for one in found.maps]
        self.run.write(
            geometry={
                "provider": provider.name,
                "licence": provider.licence,
                "points": len(found.cloud),
                "depth_known": round(sum(known) / len(known), 3),
            }
        )
        return found.attach(capture)

    def fingerprint(self, capture: Capture, split: Split) -> str:
        """Of all that decides what a step does: a checkpoint continues nothing else."""
        photos = [
            (capture.photos[i].name, capture.photos[i].width, capture.photos[i].height) for i in split.train
        ]
        decided = json.dumps([self.recipe.to_dict(), self.options.seed, photos], sort_keys=True, default=str)
        return hashlib.sha256(decided.encode()).hexdigest()

    def measure(self, gaussians: Gaussians, capture: Capture, split: Split) -> None:
        """Quality on held-out photos, or on those that train where none is; and the report."""
        with self.timed("evaluate"):
            found = measure(
                gaussians,
                capture,
                split,
                align=self.aligns,
                antialiased=self.recipe.antialiased,
                folder=self.run.folder / "renders",
                progress=self.progress,
            )
        self.run.write(
            status="complete",
            summary={**found.summary, **self.made(gaussians)},
            per_photo=found.per_photo,
        )
        with self.timed("report"):
            write_report(self.run.folder)

    @property
    def aligns(self) -> bool:
        """Whether held-out cameras have to be aligned to the scene before they can be compared with it."""
        return self.recipe.cameras is not None or (self.options.poses == "train" and not self.posed)

    def made(self, gaussians: Gaussians) -> dict[str, Any]:
        """What it took to make the scene, for the summary."""
        before = self.run.summary
        return {
            "seconds": before["seconds"] if self.again else round(sum(self.run.about["timings"].values()), 2),
            "fit_seconds": before.get("fit_seconds"),
            "steps": before.get("steps", self.recipe.steps),
            "gaussians": len(gaussians),
            "memory_planned_mb": self.run.about.get("memory_planned_mb", {}).get("total"),
            "peak_memory_mb": round(max(peak_memory_mb(), before.get("peak_memory_mb", 0.0)), 1),
        }
