"""Cameras and points once more, from every keypoint, now that it is known where to look for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pycolmap

from firstlight.poses._features import Features
from firstlight.poses._guided import Floats, Sorted, match_along_lines, sort_into_cells
from firstlight.poses._mapping import mapping_options, write_database
from firstlight.poses._pairs import MIN_INLIERS, Link, Links, Pair, torch_on_one_thread
from firstlight.progress import Progress

PARTNERS = 8  # of each photo, those that share most points with it
RADIUS = 3.0  # pixels that a match may lie off the line that the cameras give
ROUNDS = 2  # of bundle adjustment and filtering
ITERATIONS = 25  # of one bundle adjustment
_CALIBRATED = pycolmap.TwoViewGeometryConfiguration.CALIBRATED.value


def refine(
    model: pycolmap.Reconstruction,
    names: Sequence[str],
    features: Sequence[Features],
    seed: int,
    progress: Progress,
) -> pycolmap.Reconstruction:
    """The placed photos of ``model`` with points from all of their keypoints, all adjusted together.

    Mapping looks at few keypoints of large scale, which are found again surely but not to a fraction of a
    pixel. Here the small ones join, matched along epipolar lines only, and hold the cameras more firmly.
    Image i + 1 of the model is photo i. Panoramas, which have no straight epipolar lines, are given back as
    they are.
    """
    if any(camera.is_spherical() for camera in model.cameras.values()):
        return model
    links = _links_along_lines(model, features, progress)
    cameras = [model.camera(model.image(i + 1).camera_id) for i in range(len(names))]
    with (
        write_database(names, features, cameras, links) as database,
        progress.stage("Adjusting cameras and points") as stage,
    ):
        refined = _adjusted(model, database, seed)
        stage.advance()
    return refined


def _links_along_lines(
    model: pycolmap.Reconstruction, features: Sequence[Features], progress: Progress
) -> Links:
    straight = {i: _straight(model, i, features[i - 1]) for i in sorted(model.reg_image_ids())}
    pairs = covisible_pairs(model)

    def link(pair: Pair) -> Link:
        a, b = pair[0] + 1, pair[1] + 1
        matches = match_along_lines(straight[a], straight[b], _fundamental(model, a, b), RADIUS)
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = _CALIBRATED
        geometry.inlier_matches = matches
        return Link(matches, geometry)

    links: Links = {}
    with (
        torch_on_one_thread() as threads,
        ThreadPoolExecutor(threads) as pool,
        progress.stage("Matching along lines", len(pairs)) as stage,
    ):
        for pair, found in zip(pairs, pool.map(link, pairs), strict=True):
            links[pair] = found
            stage.advance()
    return links


def covisible_pairs(model: pycolmap.Reconstruction) -> list[Pair]:
    """Photos that see enough of the same points, each with its best partners."""
    shared: Counter[Pair] = Counter()
    for point in model.points3D.values():
        seen = sorted({element.image_id - 1 for element in point.track.elements})
        shared.update(combinations(seen, 2))
    chosen: set[Pair] = set()
    for photo in {i for pair in shared for i in pair}:
        rows = sorted(((n, pair) for pair, n in shared.items() if photo in pair), reverse=True)
        chosen.update(pair for n, pair in rows[:PARTNERS] if n >= MIN_INLIERS)
    return sorted(chosen)


def _straight(model: pycolmap.Reconstruction, image_id: int, features: Features) -> Sorted:
    camera = model.camera(model.image(image_id).camera_id)
    normalised = camera.cam_from_img(features.xy.astype(np.float64))
    return sort_into_cells(features, normalised * camera.mean_focal_length())


def _fundamental(model: pycolmap.Reconstruction, a: int, b: int) -> Floats:
    """From points of image ``a`` to lines in image ``b``, in straight pixels from the middle."""
    second, first = model.image(b), model.image(a)
    essential = pycolmap.essential_matrix_from_pose(
        second.cam_from_world() * first.cam_from_world().inverse()
    )
    f, g = (model.camera(image.camera_id).mean_focal_length() for image in (first, second))
    return np.asarray(np.diag([1 / g, 1 / g, 1]) @ essential @ np.diag([1 / f, 1 / f, 1]))


def _adjusted(
    model: pycolmap.Reconstruction, database: pycolmap.Database, seed: int
) -> pycolmap.Reconstruction:
    options = mapping_options(seed, len(model.reg_image_ids()))
    mapper = pycolmap.IncrementalMapper(
        pycolmap.DatabaseCache.create(database, pycolmap.DatabaseCacheOptions())
    )
    refined = pycolmap.Reconstruction()
    mapper.begin_reconstruction(refined)
    placed = sorted(model.reg_image_ids())
    for image_id in placed:
        frame = refined.image(image_id).frame
        frame.rig_from_world = model.image(image_id).cam_from_world()
        mapper.observation_manager.register_frame(frame.frame_id)
    triangulation, adjustment = options.get_triangulation(), options.get_global_bundle_adjustment()
    for image_id in placed:
        mapper.triangulate_image(triangulation, image_id)
    adjustment.ceres.solver_options.max_num_iterations = ITERATIONS
    mapper.iterative_global_refinement(ROUNDS, 0.0005, options.get_mapper(), adjustment, triangulation)
    mapper.end_reconstruction(False)
    return refined
