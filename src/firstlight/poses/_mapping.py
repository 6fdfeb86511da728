"""Cameras and points from matched photos, by pycolmap's mappers (Schönberger 2016; Pan 2024)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np
import pycolmap

from firstlight.poses._features import Features
from firstlight.poses._pairs import Links
from firstlight.scene import Photo

DEFAULT_FOCAL = 1.2  # of the long side, where EXIF says nothing
FEW_VIEWS = 8


@dataclass(frozen=True)
class Demands:
    """How much evidence a camera must have before it is believed."""

    how: str
    pose_inliers: int = 30
    start_inliers: int = 100
    start_angle: float = 16.0  # degrees between the rays of the first two photos


STRICT = Demands("incremental mapping")
RELAXED = Demands("incremental mapping, relaxed", pose_inliers=15, start_inliers=50, start_angle=8.0)
# Where few photos leave nothing better.
LEAST = Demands("incremental mapping, least demands", pose_inliers=12, start_inliers=25, start_angle=2.0)


def lens_cameras(photos: Sequence[Photo], apart: bool = False) -> list[pycolmap.Camera]:
    """One camera a photo; photos of one lens and size share it (the same ``camera_id``).

    Photos whose EXIF names no lens are taken to share one too, as one folder mostly comes from one camera,
    and a shared focal length is known far better: the middling one of what EXIF says of a lens's photos.
    ``apart`` gives each photo its own and asks no EXIF.
    """
    keys = [photo.name if apart else lens_group(photo) for photo in photos]
    groups: dict[Hashable, list[Photo]] = {key: [] for key in keys}
    for key, photo in zip(keys, photos, strict=True):
        groups[key].append(photo)
    cameras = {}
    for number, (key, group) in enumerate(groups.items(), 1):
        focals = [photo.focal for photo in group if photo.focal is not None and not apart]
        cameras[key] = _camera(group[0], number, float(np.median(focals)) if focals else None)
    return [cameras[key] for key in keys]


def lens_group(photo: Photo) -> Hashable:
    """Equal for photos that are taken to share a lens."""
    return photo.lens, photo.width, photo.height


def _camera(photo: Photo, number: int, believed: float | None) -> pycolmap.Camera:
    focal = believed or DEFAULT_FOCAL * max(photo.width, photo.height)
    model = "EQUIRECTANGULAR" if photo.panorama else "SIMPLE_RADIAL"
    camera = pycolmap.Camera.create_from_model_name(number, model, focal, photo.width, photo.height)
    camera.has_prior_focal_length = believed is not None or photo.panorama
    return camera


def write_database(
    names: Sequence[str], features: Sequence[Features], cameras: Sequence[pycolmap.Camera], links: Links
) -> pycolmap.Database:
    """COLMAP's tables in memory; photo i is image i + 1."""
    database = pycolmap.Database.open(":memory:")
    for camera in {camera.camera_id: camera for camera in cameras}.values():
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=camera.camera_id)
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    for i, (name, camera) in enumerate(zip(names, cameras, strict=True)):
        image = pycolmap.Image(name=name, camera_id=camera.camera_id, image_id=i + 1)
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=i + 1, rig_id=camera.camera_id)
        frame.add_data_id(image.data_id)
        database.write_frame(frame, use_frame_id=True)
        database.write_keypoints(i + 1, features[i].xy)
    for (i, j), link in links.items():
        if link.verified:
            database.write_matches(i + 1, j + 1, link.matches.rows)
            database.write_two_view_geometry(i + 1, j + 1, link.geometry)
    return database


def mapping_options(seed: int, photos: int) -> pycolmap.IncrementalPipelineOptions:
    """What all incremental mapping has in common."""
    options = pycolmap.IncrementalPipelineOptions()
    options.extract_colors = False
    options.min_model_size = 2
    options.max_num_models = 8
    # More threads add up normal equations in changing order: the same seed would give other cameras.
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = seed
    # Where photos are few, most points are seen by two only, and there is nothing better to be had.
    options.triangulation.ignore_two_view_tracks = photos > FEW_VIEWS
    return options


def map_incrementally(
    database: pycolmap.Database, demands: Demands, seed: int, placed: Callable[[], None]
) -> list[pycolmap.Reconstruction]:
    """Models found one photo after the other, the largest first; ``placed`` is called at each photo."""
    options = mapping_options(seed, database.num_images())
    options.mapper.abs_pose_min_num_inliers = demands.pose_inliers
    options.mapper.init_min_num_inliers = demands.start_inliers
    options.mapper.init_min_tri_angle = demands.start_angle
    manager = pycolmap.ReconstructionManager()
    pipeline = pycolmap.IncrementalPipeline(options, database, manager)
    event = pycolmap.IncrementalPipelineCallback
    pipeline.add_callback(event.INITIAL_IMAGE_PAIR_REG_CALLBACK.value, placed)
    pipeline.add_callback(event.NEXT_IMAGE_REG_CALLBACK.value, placed)
    pipeline.run()
    return _largest_first(manager)


@contextmanager
def mapping_globally(
    database: pycolmap.Database, seed: int
) -> Iterator[Callable[[], list[pycolmap.Reconstruction]]]:
    """Global mapping beside other work. Gives a function that waits for its models, the largest first."""
    begun = Event()

    def run() -> list[pycolmap.Reconstruction]:
        try:
            manager = pycolmap.ReconstructionManager()
            pipeline = pycolmap.GlobalPipeline(_global_options(seed), database, manager)
        finally:  # or nobody would hear of what went wrong
            begun.set()
        pipeline.run()
        return _largest_first(manager)

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(run)
        # Incremental mapping keeps Python's lock to itself: this has to be under way before.
        begun.wait()
        yield found.result


def _global_options(seed: int) -> pycolmap.GlobalPipelineOptions:
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = seed
    options.mapper.rotation_averaging.random_seed = options.mapper.global_positioning.random_seed = seed
    options.mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    return options


def _largest_first(manager: pycolmap.ReconstructionManager) -> list[pycolmap.Reconstruction]:
    models = [manager.get(i) for i in range(manager.size())]
    return sorted(models, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def colour_points(model: pycolmap.Reconstruction, features: Sequence[Features]) -> None:
    """Give each point the mean colour of the keypoints that it was seen as."""
    for point in model.points3D.values():
        seen = [features[e.image_id - 1].rgb[e.point2D_idx] for e in point.track.elements]
        point.color = np.rint(np.mean(seen, 0)).astype(np.uint8)
