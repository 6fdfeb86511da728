"""Structure from motion that tries harder as long as photos are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import pycolmap

from firstlight.capture import read_reconstruction
from firstlight.errors import InputError
from firstlight.poses._backed import Backed, back_up
from firstlight.poses._extend import extend
from firstlight.poses._features import Features, Matcher, Matches, Pair, extract_all
from firstlight.poses._focal import search_focals
from firstlight.poses._guess import Guess, adjust_guess, guessed_cameras, link_by_guess
from firstlight.poses._lone_points import without_lone
from firstlight.poses._mapping import (
    FEW_VIEWS,
    LEAST,
    RELAXED,
    STRICT,
    Demands,
    colour_points,
    lens_cameras,
    map_incrementally,
    mapping_globally,
    write_database,
)
from firstlight.poses._mirrored import without_mirrored
from firstlight.poses._pairs import CHANCE, FULL, Links, link_photos, match_photos, no_link
from firstlight.poses._parallax import shows_parallax
from firstlight.poses._placed import Placed, Verdict
from firstlight.poses._quiet import quiet
from firstlight.poses._refine import refine
from firstlight.poses._rematch import is_sure, rematch
from firstlight.poses._sift import Sift
from firstlight.poses._verdicts import MIN_OBSERVATIONS, refusal, spoken, verdicts
from firstlight.progress import Progress
from firstlight.scene import Cameras, Capture, Photo, SetAside

JOINED = 30  # points that two photos of one group share
EXPLAINED = 0.2  # of what two photos share, that a model must make points of
FEW = 40  # photos, up to which it is cheap to look for more features
FEW_BACKED = 16  # photos, up to which a network may look at every pair of a missing one
LOOK = Sift()
CLOSER_LOOK = Sift(enlarge_to=2016, contrast=0.01)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen in the photos, before any camera is known."""

    photos: list[Photo]
    features: list[Features]
    cameras: list[pycolmap.Camera]
    links: Links

    @property
    def overlaps(self) -> bool:
        """Whether any two photos show the same thing."""
        return any(link.verified for link in self.links.values())


@dataclass(frozen=True, eq=False)
class Attempt:
    """Models found by one rung of the ladder, the largest first."""

    how: str
    evidence: Evidence
    models: list[pycolmap.Reconstruction]

    @property
    def missing(self) -> set[int]:
        """Photos without a camera."""
        placed = {i - 1 for i in self.models[0].reg_image_ids()} if self.models else set()
        return set(range(len(self.evidence.photos))) - placed

    def could_grow_by(self, pair: Pair) -> bool:
        """Whether a pair joins a missing photo to a placed one; before any is placed, every pair could."""
        return len(self.missing & set(pair)) == 1 or not self.models

    @property
    def score(self) -> tuple[int, int]:
        return -len(self.missing), self.models[0].compute_num_observations() if self.models else 0


def structure_from_motion(
    capture: Capture,
    *,
    seed: int,
    progress: Progress,
    matcher: Matcher = LOOK,
    guess: Guess | None = None,
) -> Placed:
    """Matches, two-view geometry, pycolmap's mappers on a ladder of ever smaller demands; then ``refine``.

    The rungs: incremental mapping (Schönberger 2016) with COLMAP's demands, then with half of them; global
    mapping (Pan 2024), less exact, which places photos that have only weak links each but many of them; for
    few photos, all of it again with more features, and with those of a second kind where ``matcher`` is
    ``Backed`` by one; at last, if refining places no more, with a lens of its own for each photo, whatever
    its EXIF says. The first that places every photo ends it; otherwise the one that placed most is kept. A
    rung is left out when no missing photo is within its reach.
    guess: cameras to begin with, from a pretrained network say. They bear out matches and are adjusted to
    these; what comes of it is kept where it explains more than the ladder does.
    """
    matcher.prepare()  # better now than after minutes
    with quiet():
        photos, aside = _one_kind(capture)
        if len(photos) < 2:
            raise InputError(
                f"{len(photos)} usable photo: cameras can only be found from two or more. Photograph the "
                "same thing from at least two places, a step to the side between them."
            )
        best = _refined(_climb(photos, matcher, guess, seed, progress), seed, progress)
        if best.missing and len(photos) <= FEW:
            alone = _lenses_apart(best, seed, progress)
            best = best if alone is best else _refined(alone, seed, progress)
        if not best.models:
            raise refusal(best.evidence.photos, best.evidence.features, best.evidence.links)
        placed = _finish(capture, best, aside)
    progress.note(f"{len(placed.capture)} of {len(photos)} photos placed ({placed.method})")
    for line in spoken(placed.verdicts):
        progress.note(line)
    if best.missing and matcher == LOOK and _may_be_backed(photos):
        progress.note("  Networks may place photos that SIFT cannot: --matcher sift+aliked (extra lightglue)")
    if best.missing and isinstance(matcher, Backed) and not _may_be_backed(photos):
        progress.note(f"  No network was asked about these: it is of up to {FEW_BACKED} ordinary photos")
    return placed


def _one_kind(capture: Capture) -> tuple[list[Photo], list[SetAside]]:
    """Panoramas and ordinary photos do not mix in one model: the more numerous stay."""
    panoramas = sum(photo.panorama for photo in capture.photos)
    keep = panoramas > len(capture) - panoramas
    photos = [photo for photo in capture.photos if photo.panorama == keep]
    kind = "a panorama among ordinary photos" if not keep else "an ordinary photo among panoramas"
    return photos, [SetAside(p.name, kind) for p in capture.photos if p.panorama != keep]


def _may_be_backed(photos: Sequence[Photo]) -> bool:
    """Whether keypoints of a second kind are asked for: they cost a network's look at many pairs."""
    return len(photos) <= FEW_BACKED and not photos[0].panorama


def _climb(
    photos: list[Photo], matcher: Matcher, guess: Guess | None, seed: int, progress: Progress
) -> Attempt:
    first, last = (matcher.first, matcher.last) if isinstance(matcher, Backed) else (matcher, None)
    last = last if _may_be_backed(photos) else None
    evidence = _look(photos, first, seed, progress)
    begun = Attempt("", evidence, [])
    if guess is not None and not photos[0].panorama:
        begun = _from_guess(evidence, guess(photos, progress), seed)
    if evidence.overlaps or last is None:
        seen = begun.evidence if begun.models else evidence
        if not shows_parallax(photos, seen.features, seen.links):
            raise refusal(photos, seen.features, seen.links)
    best = _incrementally(Attempt("", evidence, []), STRICT, evidence, "", seed, progress)
    best = max(best, begun, key=lambda one: one.score)
    closer = first == LOOK and len(photos) <= FEW
    if len(photos) <= FEW_VIEWS or not closer:
        best = _climbed(best, evidence, "", seed, progress)
    # More features cannot help a photo that shares nothing with those that are placed.
    promising = [pair for pair, link in evidence.links.items() if len(link.matches) >= CHANCE]
    if closer and any(best.could_grow_by(pair) for pair in promising):
        seen = _look(photos, CLOSER_LOOK, seed, progress, promising, CLOSER_LOOK.count)
        best = _climbed(best, seen, ", more features", seed, progress)
    if best.missing and last is not None:
        best = _backed_up(best, last, seed, progress)
    return best


def _from_guess(evidence: Evidence, guess: Cameras, seed: int) -> Attempt:
    cameras = guessed_cameras(evidence.photos, guess)
    links = link_by_guess(evidence.features, cameras, guess, evidence.links)
    found = replace(evidence, cameras=cameras, links=links)
    names = [photo.name for photo in evidence.photos]
    models = adjust_guess(names, evidence.features, cameras, guess, links, seed)
    return Attempt("guessed cameras, adjusted", found, trusted(models, links))


def _look(
    photos: list[Photo],
    matcher: Matcher,
    seed: int,
    progress: Progress,
    pairs: list[Pair] | None = None,
    count: int = FULL,
) -> Evidence:
    features = extract_all(photos, matcher, progress)
    matches = match_photos(photos, features, matcher, progress, pairs, count)
    found = _linked(photos, features, matches, seed, progress)
    if isinstance(matcher, Sift) and len(photos) <= FEW:
        found = replace(found, links=without_mirrored(features, found.links, progress))
    return _along_lines(found, seed, progress)


def _linked(
    photos: list[Photo], features: list[Features], matches: dict[Pair, Matches], seed: int, progress: Progress
) -> Evidence:
    cameras = lens_cameras(photos)
    with progress.stage("Focal length") as stage:
        search_focals(cameras, features, matches, seed)
        stage.advance()
    return Evidence(photos, features, cameras, link_photos(features, cameras, matches, seed, progress))


def _along_lines(found: Evidence, seed: int, progress: Progress) -> Evidence:
    """``found`` with more matches of few photos, where the camera moved.

    Where it only turned, two photos have no epipolar lines: along made-up ones wrong matches are found, and
    these look like parallax.
    """
    if len(found.photos) > FEW or not shows_parallax(found.photos, found.features, found.links):
        return found
    return replace(found, links=rematch(found.features, found.cameras, found.links, seed, progress))


def _backed_up(best: Attempt, matcher: Matcher, seed: int, progress: Progress) -> Attempt:
    """The mappers with keypoints of a second kind, which new pairs must be sure of.

    What a network matches between photos of different things is not spread by chance as SIFT's wrong matches
    are, so that bare counts say little. A pair that is not sure keeps what it had without them.
    """
    photos, before = best.evidence.photos, best.evidence.links
    features, matches = back_up(photos, best.evidence.features, before, best.missing, matcher, progress)
    found = _linked(photos, features, matches, seed, progress)
    links = {
        pair: link
        if is_sure(link) or (pair in before and before[pair].verified)
        else before.get(pair, no_link())
        for pair, link in found.links.items()
    }
    found = _along_lines(replace(found, links=links), seed, progress)
    if not best.models:
        if not shows_parallax(photos, features, found.links):
            raise refusal(photos, features, found.links)
        best = Attempt("", found, [])
    return _climbed(best, found, ", keypoints of two kinds", seed, progress)


def _lenses_apart(best: Attempt, seed: int, progress: Progress) -> Attempt:
    """The mappers on the same matches, but each photo with an unknown lens of its own."""
    evidence = best.evidence
    matches = {pair: link.matches for pair, link in evidence.links.items()}
    cameras = lens_cameras(evidence.photos, apart=True)
    links = link_photos(evidence.features, cameras, matches, seed, progress)
    apart = replace(evidence, cameras=cameras, links=links)
    return _climbed(best, apart, ", each photo with an unknown lens of its own", seed, progress)


def _climbed(best: Attempt, evidence: Evidence, words: str, seed: int, progress: Progress) -> Attempt:
    """The mappers on one set of features, the demanding ones first, while a missing photo is within reach.

    words: what sets these features apart. Those of the first look have none: full demands were tried on them.
    """
    rungs: list[Demands | None] = [STRICT, RELAXED, LEAST, None]  # None: global mapping
    if len(evidence.photos) > FEW_VIEWS:
        rungs = [STRICT, None, RELAXED]
    if not words:
        rungs.remove(STRICT)
    if not _within_reach(best, evidence):
        return best
    # Mappers use one thread each: the global one, the slowest, runs beside the others.
    with _database(evidence) as database, mapping_globally(database, seed) as globally:
        for demands in rungs:
            if demands is not None:
                best = _incrementally(best, demands, evidence, words, seed, progress)
            elif _within_reach(best, evidence):
                best = _better(best, "global mapping" + words, evidence, globally())
    return best


def _incrementally(
    best: Attempt, demands: Demands, evidence: Evidence, words: str, seed: int, progress: Progress
) -> Attempt:
    if not _within_reach(best, evidence):
        return best
    with progress.stage("Placing photos", len(evidence.photos)) as stage, _database(evidence) as database:
        models = map_incrementally(database, demands, seed, stage.advance)
    return _better(best, demands.how + words, evidence, models)


def _within_reach(best: Attempt, evidence: Evidence) -> bool:
    return any(best.could_grow_by(pair) for pair, link in evidence.links.items() if link.verified)


def _better(best: Attempt, how: str, evidence: Evidence, models: list[pycolmap.Reconstruction]) -> Attempt:
    attempt = Attempt(how, evidence, trusted(models, evidence.links))
    return max(best, attempt, key=lambda one: one.score)


def _database(evidence: Evidence) -> pycolmap.Database:
    """A new one: mappers change the cameras in the database they work on."""
    names = [photo.name for photo in evidence.photos]
    return write_database(names, evidence.features, evidence.cameras, evidence.links)


def trusted(models: list[pycolmap.Reconstruction], links: Links) -> list[pycolmap.Reconstruction]:
    """The models without photos that stand on too little, and each of one piece, the largest first."""
    models = [piece for model in models for piece in pieces(model)]
    for model in models:
        while weak := [i for i in model.reg_image_ids() if _is_weak(model, i, links)]:
            for image_id in weak:
                model.deregister_frame(model.image(image_id).frame_id)
    rest = [model for model in models if model.num_reg_images() >= 2]
    return sorted(rest, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def pieces(model: pycolmap.Reconstruction) -> list[pycolmap.Reconstruction]:
    """One model for each group of photos that hangs together by enough points; single photos stay with all.

    Global mapping joins groups by a handful of matches, such as a building and its mirror image share along
    the axis.
    """
    groups = _groups(model)
    if len(groups) < 2:
        return [model]
    found = []
    for group in groups:
        piece = pycolmap.Reconstruction(model)
        for other in set().union(*groups) - group:
            piece.deregister_frame(piece.image(other).frame_id)
        found.append(piece)
    return found


def _groups(model: pycolmap.Reconstruction) -> list[set[int]]:
    """Sets of two and more image ids, each held together by pairs that share JOINED points."""
    shared: Counter[Pair] = Counter()
    for point in model.points3D.values():
        shared.update(combinations(sorted({element.image_id for element in point.track.elements}), 2))
    group = {i: {i} for i in model.reg_image_ids()}
    for (i, j), count in shared.items():
        if count >= JOINED and group[i] is not group[j]:
            group[i] |= group[j]
            for k in group[j]:
                group[k] = group[i]
    return [g for i, g in sorted(group.items()) if len(g) > 1 and min(g) == i]


def _is_weak(model: pycolmap.Reconstruction, image_id: int, links: Links) -> bool:
    """Few points, or few beside what the photo shares with a placed one: then the rest contradicts it."""
    placed = {i - 1 for i in model.reg_image_ids()} - {image_id - 1}
    shared = [link.inliers for (i, j), link in links.items() if image_id - 1 in (i, j) and ({i, j} & placed)]
    needed = max(MIN_OBSERVATIONS, EXPLAINED * max(shared, default=0))
    return bool(model.image(image_id).num_points3D < needed)


def _refined(best: Attempt, seed: int, progress: Progress) -> Attempt:
    """With its largest model extended and refined, unless that would cost a photo."""
    if not best.models:
        return best
    evidence = best.evidence
    seen = evidence.cameras, evidence.features, evidence.links
    more = extend(best.models[0], *seen, seed) if best.missing else {}
    names = [photo.name for photo in evidence.photos]
    refined = trusted([refine(best.models[0], more, names, *seen, seed, progress)], evidence.links)
    attempt = Attempt(best.how, evidence, refined + best.models[1:])
    return attempt if refined and len(attempt.missing) <= len(best.missing) else best


def _finish(capture: Capture, best: Attempt, other_kind: list[SetAside]) -> Placed:
    model, evidence = best.models[0], best.evidence
    colour_points(model, evidence.features)
    found = verdicts(best.models, evidence.photos, evidence.features, evidence.links)
    index = [i for i, verdict in enumerate(found) if verdict.placed]
    cameras, points = read_reconstruction(model, [evidence.photos[i].name for i in index])
    left_out = [SetAside(v.name, v.reason) for v in found if not v.placed] + other_kind
    placed = replace(
        capture,
        photos=[evidence.photos[i] for i in index],
        cameras=cameras,
        points=without_lone(points, cameras),
        cloud=None,  # of other cameras
        set_aside=capture.set_aside + left_out,
    )
    return Placed(placed, found + [Verdict(one.name, False, one.reason) for one in other_kind], best.how)
