"""Structure from motion on photos of a synthetic corner whose cameras are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from queue import Queue
from threading import Thread

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from firstlight.errors import InputError
from firstlight.poses import Placed, _ladder, estimate, place_against
from firstlight.poses._against import _lens
from firstlight.poses._mapping import STRICT, map_incrementally, mapping_globally
from firstlight.poses._quiet import quiet
from firstlight.progress import Silent
from firstlight.scene import Cameras, Capture, Cloud, Picture, Similarity
from tests.capture.made import Notes
from tests.poses.corner import FOCAL, HEIGHT, WIDTH, corner, look_at, photo_of, photograph, walk


@pytest.fixture(scope="module")
def truth() -> Capture:
    return corner(6)


@pytest.fixture(scope="module")
def placed(truth) -> Placed:
    return estimate(without_cameras(truth), seed=3)


def without_cameras(capture: Capture) -> Capture:
    return replace(capture, cameras=None)


def pose_errors(found: Capture, truth: Capture) -> tuple[float, float]:
    """Largest error of relative rotations in degrees, and of positions as a share of the path's size."""
    assert found.cameras is not None and truth.cameras is not None
    place = {photo.name: i for i, photo in enumerate(truth.photos)}
    right = truth.cameras.select([place[photo.name] for photo in found.photos])
    a, b = found.cameras.rotations.double(), right.rotations.double()
    turns = (a[:, None] @ a[None].mT) @ (b[:, None] @ b[None].mT).mT
    angles = torch.rad2deg(torch.arccos(((turns.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)))
    similarity = Similarity.align(found.cameras.centers, right.centers)
    off = (similarity.apply(found.cameras.centers.double()) - right.centers.double()).norm(dim=-1)
    return float(angles.max()), float(off.max() / (right.centers - right.centers.mean(0)).norm(dim=-1).max())


def test_cameras_are_found_where_they_were(placed, truth):
    turned, moved = pose_errors(placed.capture, truth)
    assert turned < 0.2 and moved < 0.01
    cameras = placed.capture.cameras
    assert torch.allclose(cameras.Ks[:, 0, 0], torch.tensor(FOCAL), rtol=0.02)
    assert [p.name for p in placed.capture.photos] == [p.name for p in truth.photos]


def test_points_lie_on_the_planes_and_know_who_saw_them(placed, truth):
    found, points = placed.capture, placed.capture.points
    assert len(points) > 300 and points.error.median() < 0.5
    similarity = Similarity.align(found.cameras.centers, truth.cameras.centers)
    xyz = similarity.apply(points.xyz)
    planes = torch.stack([xyz[:, 1] - 1.0, xyz[:, 2] - 2.5, xyz[:, 0] + 1.6], -1)
    assert planes.abs().amin(-1).median() < 0.01
    # Each observation is in front of its camera and in its picture, and has the colour of the photo there.
    view = found.cameras.viewmats.double()[points.track_photo]
    local = (view[:, :3, :3] @ points.xyz[points.track_point][..., None]).squeeze(-1) + view[:, :3, 3]
    pixel = (found.cameras.Ks.double()[points.track_photo] @ local[..., None]).squeeze(-1)
    xy = (pixel[:, :2] / pixel[:, 2:]).long()
    assert ((xy >= 0) & (xy < torch.tensor([WIDTH, HEIGHT]))).all() and (local[:, 2] > 0).all()
    pictures = torch.from_numpy(np.stack([photo.decode().rgb for photo in found.photos]))
    seen = pictures[points.track_photo, xy[:, 1], xy[:, 0]].float()
    assert (seen - points.rgb[points.track_point].float()).abs().mean() < 25


def test_the_frame_is_upright(placed):
    cameras = placed.capture.cameras
    assert cameras.extent == pytest.approx(1, abs=1e-5) and cameras.centers.mean(0).abs().max() < 1e-5
    assert (cameras.rotations[:, 1, 1] > 0.8).all()


def test_every_photo_has_a_verdict(placed, truth):
    assert [v.name for v in placed.verdicts] == [p.name for p in truth.photos]
    for verdict in placed.verdicts:
        assert verdict.placed and verdict.observations >= 15 and verdict.matches >= 15
        assert verdict.error_px is not None and 0 < verdict.error_px < 1
        assert str(verdict.observations) in verdict.reason


def test_the_same_seed_gives_the_same_bits(placed, truth):
    again = estimate(without_cameras(truth), seed=3)
    for name in ("viewmats", "Ks", "distortion"):
        assert torch.equal(getattr(again.capture.cameras, name), getattr(placed.capture.cameras, name)), name
    for name in ("xyz", "rgb", "error", "track_point", "track_photo"):
        assert torch.equal(getattr(again.capture.points, name), getattr(placed.capture.points, name)), name
    assert again.verdicts == placed.verdicts


def test_global_mapping_beside_other_work_gives_the_same_bits(truth):
    seen = _ladder._look(truth.photos, _ladder.LOOK, 0, Silent())

    def globally(beside: Callable[[], object]) -> list[np.ndarray]:
        with _ladder._database(seen) as database, mapping_globally(database, 0) as models:
            beside()
            (model,) = models()
            return [model.image(i).cam_from_world().matrix() for i in sorted(model.reg_image_ids())]

    def incrementally() -> None:
        with _ladder._database(seen) as database:
            map_incrementally(database, STRICT, 0, lambda: None)

    with quiet():
        alone, together = globally(lambda: None), globally(incrementally)
    assert len(alone) == len(truth)
    np.testing.assert_array_equal(alone, together)


def test_global_mapping_that_cannot_begin_says_so_instead_of_waiting(monkeypatch):
    def refuse(*given: object) -> None:
        raise RuntimeError("no memory")

    nothing = _ladder.Evidence([], [], [], {})
    heard: Queue[BaseException] = Queue()

    def globally() -> None:
        try:
            with _ladder._database(nothing) as database, mapping_globally(database, 0) as models:
                models()
        except RuntimeError as error:
            heard.put(error)

    monkeypatch.setattr(pycolmap, "GlobalPipeline", refuse)
    Thread(target=globally, daemon=True).start()
    assert "no memory" in str(heard.get(timeout=30))


def test_a_photo_held_the_other_way_is_placed_against_the_others(placed, truth):
    view = look_at((0.1, -0.7, -1.5), (-0.3, 0.2, 1.8))
    tilted = np.eye(4)
    tilted[:2, :2] = [[0, 1], [-1, 0]]
    upright = photo_of("upright.png", np.ascontiguousarray(np.rot90(photograph(tilted @ view), -1)))
    stray = corner(1, scene=1, prefix="other/").photos[0]
    found = place_against(placed, [stray, upright])
    assert [(v.name, v.placed) for v in found.verdicts[6:]] == [(stray.name, False), ("upright.png", True)]
    # Each point counts once, however many photos of the model show it.
    assert 50 < found.verdicts[7].observations <= len(placed.capture.points)
    cameras = found.capture.cameras
    assert cameras is not None
    focal = float(cameras.Ks[0, 0, 0])
    assert torch.allclose(cameras.Ks[6], torch.tensor([[focal, 0, 135], [0, focal, 180], [0, 0, 1]]))
    viewmats = torch.cat([truth.cameras.viewmats, torch.from_numpy(view).float()[None]])
    right = replace(found.capture, cameras=replace(cameras, viewmats=viewmats))
    turned, moved = pose_errors(found.capture, right)
    assert turned < 0.3 and moved < 0.02


def test_a_photo_of_elsewhere_is_not_placed_by_a_few_matches_that_are_chance(placed, truth):
    other, rng = photograph(walk(1)[0], scene=1), np.random.default_rng(0)
    known = truth.photos[2].decode().rgb
    for k, cell in enumerate(rng.permutation(24)[:8]):  # scraps of the scene, scattered and turned
        y, x = 60 * (cell // 6), 60 * (cell % 6)
        v, u = rng.integers(HEIGHT - 20), rng.integers(WIDTH - 20)
        other[y : y + 20, x : x + 20] = np.rot90(known[v : v + 20, u : u + 20], k)
    heard = Notes()
    found = place_against(placed, [photo_of("elsewhere.png", other)], progress=heard)
    assert not found.verdicts[-1].placed and "shares nothing" in found.verdicts[-1].reason
    assert "0 of 1 held-out photos placed" in heard.lines[-2]
    assert "elsewhere.png: left out" in heard.lines[-1]


def test_a_panorama_among_held_out_photos_is_left_out(placed):
    panorama = replace(corner(1, scene=1).photos[0], panorama=True)
    found = place_against(placed, [panorama])
    assert not found.verdicts[-1].placed and "panorama" in found.verdicts[-1].reason


def test_a_photo_is_seen_through_the_lens_that_it_shares_with_others(truth):
    lying, standing = truth.photos[0], replace(truth.photos[1], width=HEIGHT, height=WIDTH)
    Ks = torch.tensor(
        [[[330.0, 0, 180], [0, 330, 135], [0, 0, 1]], [[400.0, 0, 130], [0, 400, 170], [0, 0, 1]]]
    )
    size = torch.tensor([WIDTH, HEIGHT]), torch.tensor([HEIGHT, WIDTH])
    cameras = Cameras(torch.eye(4).repeat(2, 1, 1), Ks, *size)
    for photo, own in ((lying, 0), (standing, 1)):
        for partner in (0, 1):
            assert torch.equal(_lens(photo, partner, [lying, standing], cameras).Ks[0], Ks[own])
    half = _lens(standing.resized(WIDTH // 2), 0, [lying, standing], cameras)
    assert half.Ks[0].tolist() == [[165, 0, 67.5], [0, 165, 90], [0, 0, 1]]
    assert (int(half.width), int(half.height)) == (135, 180)


def test_it_says_nothing_on_the_screen(truth, capfd):
    with pytest.raises(InputError):
        estimate(without_cameras(truth).select([0]))
    estimate(without_cameras(truth).select([1, 2, 3]))
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def test_three_photos_are_enough(truth):
    few = estimate(without_cameras(truth).select([1, 2, 3]))
    turned, moved = pose_errors(few.capture, truth)
    assert len(few.capture) == 3 and turned < 0.5 and moved < 0.05


def test_a_photo_of_another_place_is_left_out_with_a_reason(truth):
    stray = corner(1, scene=1, prefix="other/").photos
    capture = Capture(truth.photos + stray, "test")
    found = estimate(capture)
    assert len(found.capture) == 6
    verdict = found.verdicts[-1]
    assert verdict.name == "other/00.png" and not verdict.placed and "another place" in verdict.reason
    assert [one.name for one in found.capture.set_aside] == ["other/00.png"]


def test_two_separate_groups_keep_the_larger(truth):
    other = corner(3, scene=1, prefix="b/", start=-0.5, end=0.5).photos
    found = estimate(Capture(other + truth.photos, "test"))
    assert {p.name for p in found.capture.photos} == {p.name for p in truth.photos}
    reasons = {v.reason for v in found.verdicts if not v.placed}
    assert len(reasons) == 1 and "separate group of 3 photos" in reasons.pop()


def test_photos_of_the_same_name_in_different_folders_are_told_apart(truth):
    photos = [replace(p, name=f"{'ab'[i % 2]}/{i // 2}.png") for i, p in enumerate(truth.photos)]
    found = estimate(Capture(photos, "test"))
    renamed = replace(truth, photos=photos)
    assert len(found.capture) == 6 and pose_errors(found.capture, renamed)[0] < 0.2


def test_a_blurred_photo_says_so(truth):
    soft = cv2.GaussianBlur(truth.photos[2].decode().rgb, (0, 0), 15)
    photos = [p for i, p in enumerate(truth.photos) if i != 2] + [photo_of("soft.png", soft)]
    verdict = estimate(Capture(photos, "test")).verdicts[-1]
    assert not verdict.placed and "blurred" in verdict.reason


def test_masked_pixels_are_not_looked_at(truth):
    masked = []
    for photo in truth.photos:
        rgb, _ = photo.decode()
        mask = np.full(rgb.shape[:2], 255, np.uint8)
        mask[:, : WIDTH // 3] = 0
        masked.append(photo_of(photo.name, rgb, mask))
    found = estimate(Capture(masked, "test")).capture
    assert found.cameras is not None and found.points is not None
    view = found.cameras.viewmats.double()[found.points.track_photo]
    local = (view[:, :3, :3] @ found.points.xyz[found.points.track_point][..., None]).squeeze(-1)
    local = local + view[:, :3, 3]
    column = found.cameras.Ks[0, 0, 0] * local[:, 0] / local[:, 2] + WIDTH / 2
    assert (column > WIDTH / 3 - 3).all()


def test_exif_focal_is_believed_and_lenses_are_told_apart(truth):
    wide = [
        replace(photo_of(f"w{i}.png", photograph(v, focal=240.0), lens="wide"), focal=245.0)
        for i, v in enumerate(walk(3, -0.6, 0.6))
    ]
    photos = [replace(p, focal=325.0) for p in truth.photos] + wide
    found = estimate(Capture(photos, "test")).capture
    assert found.cameras is not None and len(found) == 9
    focal = found.cameras.Ks[:, 0, 0]
    assert torch.allclose(focal[:6], torch.tensor(FOCAL), rtol=0.02) and len(set(focal[:6].tolist())) == 1
    assert torch.allclose(focal[6:], torch.tensor(240.0), rtol=0.02)


def test_photos_of_different_scenes_are_refused():
    photos = [corner(1, scene=s, prefix=f"{s}-").photos[0] for s in range(3)]
    with pytest.raises(InputError, match="overlap"):
        estimate(Capture(photos, "test"))


def test_copies_of_one_photo_are_refused(truth):
    rgb = truth.photos[0].decode().rgb
    photos = [photo_of(f"{i}.png", np.clip(rgb.astype(int) + i, 0, 255).astype(np.uint8)) for i in range(3)]
    with pytest.raises(InputError, match="step to the side"):
        estimate(Capture(photos, "test"))


def test_turning_on_the_spot_is_refused():
    eye = (0.0, -0.6, -1.6)
    views = [look_at(eye, (x, 0.2, 1.8)) for x in (-0.8, -0.4, 0.0)]
    photos = [photo_of(f"{i}.png", photograph(v)) for i, v in enumerate(views)]
    with pytest.raises(InputError, match="only turned"):
        estimate(Capture(photos, "test"))


def test_photos_without_texture_are_refused():
    photos = [photo_of(f"{i}.png", np.full((HEIGHT, WIDTH, 3), 40 * i, np.uint8)) for i in range(4)]
    with pytest.raises(InputError, match="texture"):
        estimate(Capture(photos, "test"))


def test_one_photo_is_refused(truth):
    with pytest.raises(InputError, match="two"):
        estimate(truth.select([0]))


def test_a_photo_that_breaks_while_reading_is_left_out(truth):
    def broken() -> Picture:
        raise InputError("05.png: it is cut short")

    photos = [*truth.photos[:5], replace(truth.photos[5], decode=broken)]
    found = estimate(Capture(photos, "test"))
    assert len(found.capture) == 5 and "cut short" in found.verdicts[5].reason


def test_panoramas_do_not_mix_with_photos(truth):
    odd = replace(truth.photos[5], panorama=True)
    found = estimate(Capture([*truth.photos[:5], odd], "test"))
    assert [v.placed for v in found.verdicts] == [True] * 5 + [False]
    assert "panorama" in found.verdicts[5].reason


def test_cameras_and_clouds_that_a_capture_has_are_not_looked_at(truth):
    one, three = torch.ones(1), torch.ones(1, 3)
    cloud = Cloud(three, three.byte(), three, one, one, one, one.long())
    photos = [*truth.photos[:5], replace(truth.photos[5], panorama=True)]
    found = estimate(replace(truth, photos=photos, cloud=cloud)).capture
    assert len(found) == 5 and found.cloud is None
