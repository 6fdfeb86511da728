"""Cameras and points once more, from every keypoint, now that it is known where to look for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pycolmap

from firstlight.poses._features import Features, Pair
from firstlight.poses._guided import Floats, match_along_lines, off_lines, sort_into_cells
from firstlight.poses._mapping import mapping_options, write_database
from firstlight.poses._pairs import Link, Links, over_pairs
from firstlight.progress import Progress

PARTNERS = 8  # of each photo, those that share most with it
RADIUS = 3.0  # pixels that a match may lie off the line that the cameras give
ROUNDS = 2  # of bundle adjustment and filtering
ITERATIONS = 25  # of one bundle adjustment
LOSS_SCALE = (
    0.5  # pixels from which errors count less than their square: small keypoints bring small outliers
)
_CALIBRATED = pycolmap.TwoViewGeometryConfiguration.CALIBRATED.value


def refine(
    model: pycolmap.Reconstruction,
    more: Mapping[int, pycolmap.Rigid3d],
    names: Sequence[str],
    cameras: Sequence[pycolmap.Camera],
    features: Sequence[Features],
    links: Links,
    seed: int,
    progress: Progress,
) -> pycolmap.Reconstruction:
    """The placed photos of ``model``, and ``more``, with points from all keypoints, all adjusted together.

    Mapping looks at few keypoints of large scale, which are found again surely but not to a fraction of a
    pixel. Here the small ones join, matched along epipolar lines only, and hold the cameras more firmly.
    Image i + 1 of the model is photo i; ``cameras``: one a photo, for those that the model does not know.
    Panoramas, which have no straight epipolar lines, are given back as they are.
    """
    if any(camera.is_spherical() for camera in model.cameras.values()):
        return model
    known = {camera.camera_id: camera for camera in cameras} | dict(model.cameras)
    lenses = [known[camera.camera_id] for camera in cameras]
    poses = {i: model.image(i).cam_from_world() for i in model.reg_image_ids()} | dict(more)
    placed = {i - 1: pose for i, pose in sorted(poses.items())}
    along = _links_along_lines(placed, lenses, features, links, progress)
    with progress.stage("Adjusting cameras and points") as stage:
        refined = adjusted(placed, names, features, lenses, along, seed)
        stage.advance()
    return refined


def partners(links: Links, placed: Mapping[int, object]) -> list[Pair]:
    """Pairs of placed photos that share most, enough for each photo."""
    shared = {
        p: link.inliers for p, link in links.items() if link.verified and p[0] in placed and p[1] in placed
    }
    chosen: set[Pair] = set()
    for photo in placed:
        rows = sorted(((n, pair) for pair, n in shared.items() if photo in pair), reverse=True)
        chosen.update(pair for _, pair in rows[:PARTNERS])
    return sorted(chosen)


def _links_along_lines(
    placed: Mapping[int, pycolmap.Rigid3d],
    cameras: Sequence[pycolmap.Camera],
    features: Sequence[Features],
    links: Links,
    progress: Progress,
) -> Links:
    """Each photo and its best partners; a pair keeps the matches it had where no more lie along the lines."""
    cells = {i: sort_into_cells(features[i], straight(cameras[i], features[i].xy)) for i in placed}

    def link(pair: Pair) -> Link:
        a, b = pair
        line = fundamental_between(cameras[a], placed[a], cameras[b], placed[b])
        found = match_along_lines(cells[a], cells[b], line, RADIUS)
        rows = links[pair].geometry.inlier_matches
        x, y = (straight(cameras[i], features[i].xy[rows[:, k]]) for k, i in enumerate(pair))
        before = rows[off_lines(x, y, line) <= RADIUS]
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = _CALIBRATED
        more = len(found) >= len(before)
        geometry.inlier_matches = found.rows if more else before
        return Link(found if more else links[pair].matches, geometry)

    return over_pairs(link, partners(links, placed), "Matching along lines", progress)


def straight(camera: pycolmap.Camera, xy: npt.NDArray[np.float32]) -> Floats:
    """Pixels [N, 2], from the middle, at which a lens without distortion would show keypoints."""
    normalised = camera.cam_from_img(xy.astype(np.float64))
    return np.asarray(normalised * camera.mean_focal_length())


def fundamental_between(
    camera_a: pycolmap.Camera, a: pycolmap.Rigid3d, camera_b: pycolmap.Camera, b: pycolmap.Rigid3d
) -> Floats:
    """From points of photo a to lines in photo b, in straight pixels from the middle."""
    essential = pycolmap.essential_matrix_from_pose(b * a.inverse())
    f, g = camera_a.mean_focal_length(), camera_b.mean_focal_length()
    return np.asarray(np.diag([1 / g, 1 / g, 1]) @ essential @ np.diag([1 / f, 1 / f, 1]))


def adjusted(
    placed: Mapping[int, pycolmap.Rigid3d],
    names: Sequence[str],
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    links: Links,
    seed: int,
    tolerance: tuple[float, float] | None = None,
) -> pycolmap.Reconstruction:
    """Points triangulated from the matches of ``links`` and the poses ``placed``, then all adjusted together.

    tolerance: pixels and degrees by which a point may miss its keypoints, where poses are far from right.
    """
    with write_database(names, features, cameras, links) as database:
        return _adjusted(placed, database, seed, tolerance)


def _adjusted(
    placed: Mapping[int, pycolmap.Rigid3d],
    database: pycolmap.Database,
    seed: int,
    tolerance: tuple[float, float] | None,
) -> pycolmap.Reconstruction:
    options = mapping_options(seed, len(placed))
    mapper = pycolmap.IncrementalMapper(
        pycolmap.DatabaseCache.create(database, pycolmap.DatabaseCacheOptions())
    )
    refined = pycolmap.Reconstruction()
    mapper.begin_reconstruction(refined)
    # A photo of which no pair kept its geometry is not among those that the mapper knows.
    known = [i for i in placed if refined.exists_image(i + 1)]
    for i in known:
        frame, pose = refined.image(i + 1).frame, placed[i]
        frame.rig_from_world = pose
        mapper.observation_manager.register_frame(frame.frame_id)
    triangulation, adjustment = options.get_triangulation(), options.get_global_bundle_adjustment()
    mapper_options = options.get_mapper()
    if tolerance is not None:
        mapper_options.filter_max_reproj_error = tolerance[0]
        triangulation.create_max_angle_error = triangulation.continue_max_angle_error = tolerance[1]
        triangulation.complete_max_reproj_error = tolerance[0]
    for i in known:
        mapper.triangulate_image(triangulation, i + 1)
    adjustment.ceres.solver_options.max_num_iterations = ITERATIONS
    adjustment.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    adjustment.ceres.loss_function_scale = LOSS_SCALE
    mapper.iterative_global_refinement(ROUNDS, 0.0005, mapper_options, adjustment, triangulation)
    mapper.end_reconstruction(False)
    return refined
