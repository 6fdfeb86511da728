"""The demo still life as a Mitsuba 3 scene: a table in a room, in metres, z up, table top at z = 0."""

from __future__ import annotations

from typing import Any, NamedTuple

import mitsuba as mi
import numpy as np

from . import shapes, textures
from .shapes import Shape, moved
from .textures import Picture

TABLE = (1.50, 1.00)  # width, depth
FLOOR = -0.74


class Look(NamedTuple):
    """A picture and how it shines: roughness None is matte, else a varnish of that roughness over it."""

    picture: Picture | None  # None is gold
    roughness: float | None


def matte(picture: Picture) -> Look:
    return Look(picture, None)


def glossy(picture: Picture, roughness: float) -> Look:
    return Look(picture, roughness)


def gold(roughness: float) -> Look:
    return Look(None, roughness)


class Still:
    """Collects shapes with their looks; `load` hands Mitsuba the finished scene.

    All pictures go into one atlas and all shapes of one material into one mesh: with hundreds of materials
    Mitsuba spends most of its time on finding its way between them.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.things: list[tuple[Shape, Look]] = []
        self.lamps: list[dict[str, Any]] = []

    def add(self, shape: Shape, look: Look) -> None:
        self.things.append((shape, look))

    def box(
        self, size: tuple[float, float, float], looks: list[Look], at: tuple[float, float, float], turn: float
    ) -> None:
        """A box standing on `at`; `looks` go front, right, back, left, top, bottom (the last repeats)."""
        for index, side in enumerate(shapes.box_sides(*size)):
            self.add(moved(side, at, turn), looks[min(index, len(looks) - 1)])

    def lamp(
        self, at: tuple[float, float, float], to: tuple[float, float, float], size: float, light: list[float]
    ) -> None:
        place = mi.ScalarTransform4f().look_at(origin=at, target=to, up=[0, 0.3, 1]).scale(size / 2)
        radiance = {"type": "rgb", "value": light}
        emitter = {"type": "area", "radiance": radiance, "sampling_weight": 0.1 * light[0]}
        self.lamps.append({"type": "rectangle", "to_world": place, "emitter": emitter})

    def load(self, sky: list[float]) -> Any:  # Mitsuba has no types: mi.Scene
        atlas, places = _pack([look.picture for _, look in self.things if look.picture is not None])
        texture = _bitmap(atlas)
        scene: dict[str, Any] = {"type": "scene"}
        scene["sky"] = {"type": "constant", "radiance": {"type": "rgb", "value": sky}}
        scene |= {f"lamp{index}": lamp for index, lamp in enumerate(self.lamps)}
        groups: dict[tuple[bool, float | None], list[Shape]] = {}
        for shape, look in self.things:
            if look.picture is not None:
                left, top, wide, high = places[id(look.picture)]
                # Half a texel inside its own border, so that neighbours in the atlas never bleed in.
                u = (left + 0.5 + shape.uv[:, 0] * (wide - 1)) / atlas.shape[1]
                v = (top + 0.5 + (1 - shape.uv[:, 1]) * (high - 1)) / atlas.shape[0]
                shape = shape._replace(uv=np.stack([u, v], 1))
            groups.setdefault((look.picture is None, look.roughness), []).append(shape)
        for index, ((is_gold, roughness), members) in enumerate(groups.items()):
            scene[f"mesh{index}"] = _mesh(f"mesh{index}", members, _material(texture, is_gold, roughness))
        return mi.load_dict(scene)


def _pack(pictures: list[Picture], width: int = 4096) -> tuple[Picture, dict[int, tuple[int, int, int, int]]]:
    """Pictures side by side on shelves, tallest first; id(picture) -> (left, top, width, height)."""
    places: dict[int, tuple[int, int, int, int]] = {}
    left, top, shelf = 0, 0, 0
    different = {id(picture): picture for picture in pictures}
    for key, picture in sorted(different.items(), key=lambda item: -item[1].shape[0]):
        high, wide = picture.shape[:2]
        if left + wide > width:
            left, top, shelf = 0, top + shelf, 0
        places[key] = (left, top, wide, high)
        left, shelf = left + wide, max(shelf, high)
    atlas = np.zeros((top + shelf, width, 3), np.float32)
    for key, (x, y, wide, high) in places.items():
        atlas[y : y + high, x : x + wide] = different[key]
    return atlas, places


def _bitmap(picture: Picture) -> Any:
    bitmap = mi.Bitmap(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return mi.load_dict({"type": "bitmap", "bitmap": bitmap, "wrap_mode": "clamp"})


def _material(texture: Any, is_gold: bool, roughness: float | None) -> Any:
    if is_gold:
        return mi.load_dict({"type": "roughconductor", "material": "Au", "alpha": roughness})
    if roughness is None:
        return mi.load_dict({"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": texture}})
    coat = {"type": "roughplastic", "diffuse_reflectance": texture, "alpha": roughness}
    return mi.load_dict({"type": "twosided", "bsdf": coat})


def _mesh(name: str, members: list[Shape], material: Any) -> Any:
    starts = np.cumsum([0] + [len(shape.vertices) for shape in members[:-1]])
    faces = np.concatenate([shape.faces + start for shape, start in zip(members, starts, strict=True)])
    vertices = np.concatenate([shape.vertices for shape in members])
    properties = mi.Properties()
    properties["mesh_bsdf"] = material
    mesh = mi.Mesh(
        name, len(vertices), len(faces), has_vertex_normals=True, has_vertex_texcoords=True, props=properties
    )
    fields = mi.traverse(mesh)
    fields["vertex_positions"] = _floats(vertices)
    fields["vertex_normals"] = _floats(np.concatenate([_normals(shape) for shape in members]))
    fields["vertex_texcoords"] = _floats(np.concatenate([shape.uv for shape in members]))
    fields["faces"] = mi.UInt32(np.ascontiguousarray(faces, np.uint32).ravel())
    fields.update()
    return mesh


def _floats(values: np.ndarray) -> Any:
    return mi.Float(np.ascontiguousarray(values, np.float32).ravel())


def _normals(shape: Shape) -> np.ndarray:
    """Area-weighted vertex normals, shared where a closed surface meets its own seam."""
    corners = shape.vertices[shape.faces]  # [F, 3, 3]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    _, place = np.unique(np.round(shape.vertices, 7), axis=0, return_inverse=True)
    place = place.ravel()
    total = np.zeros((place.max() + 1, 3))
    for corner in range(3):
        np.add.at(total, place[shape.faces[:, corner]], facing)
    normals = total[place]
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20))


def build(seed: int = 7) -> Any:
    still = Still(seed)
    _room(still)
    _table(still)
    _vase(still)
    _books(still)
    _bowl(still)
    _blocks(still)
    _small_things(still)
    _lights(still)
    return still.load([0.56, 0.60, 0.64])


def _room(still: Still) -> None:
    rng = still.rng
    floor = matte(textures.wood(rng, 1400, 1600, 26, (0.50, 0.35, 0.24)))
    still.add(_level(shapes.rectangle(6.4, 5.6), (0, -0.6, FLOOR)), floor)
    back = matte(textures.plaster(rng, 1000, 2000, (0.56, 0.66, 0.64)))
    still.add(moved(shapes.rectangle(5.6, 2.8), (0, 1.75, FLOOR + 1.4)), back)
    for side, tone in ((-1, (0.78, 0.70, 0.55)), (1, (0.74, 0.60, 0.52))):
        wall = matte(textures.plaster(rng, 900, 1800, tone))
        still.add(moved(shapes.rectangle(5.0, 2.8), (side * 2.6, -0.7, FLOOR + 1.4), -90 * side), wall)
    rug = matte(textures.kilim(rng, 1000, 1500, 13, textures.DUSK))
    still.add(_level(shapes.rectangle(3.2, 2.2), (0, 0.1, FLOOR + 0.008)), rug)
    pictures = [
        (textures.sunrise(rng, 480, 640), 0.88, 0.66, (-0.05, 1.72, 0.62), 0),
        (textures.mosaic(rng, 420, 340), 0.46, 0.58, (-0.95, 1.72, 0.50), 0),
        (textures.star_chart(rng, 520, 400), 0.50, 0.66, (0.86, 1.72, 0.56), 0),
        (textures.blocks_painting(rng, 400, 400), 0.52, 0.52, (1.62, 1.72, 0.40), 0),
        (textures.page(rng, 640, 460, "MORNING"), 0.46, 0.62, (-1.70, 1.72, 0.44), 0),
        (textures.blocks_painting(rng, 400, 560), 0.90, 0.64, (-2.57, 0.55, 0.45), 90),
        (textures.star_chart(rng, 420, 420), 0.60, 0.60, (-2.57, -0.45, 0.42), 90),
        (textures.mosaic(rng, 380, 520), 0.86, 0.62, (2.57, 0.62, 0.46), -90),
        (textures.sunrise(rng, 420, 420), 0.60, 0.60, (2.57, -0.38, 0.42), -90),
    ]
    for picture, width, height, at, turn in pictures:
        frame = matte(textures.wood(rng, 64, 256, 1, textures.jitter(rng, (0.34, 0.22, 0.13), 0.05)))
        foot = (at[0], at[1], at[2] - height / 2)
        still.box((width + 0.05, 0.03, height + 0.05), [frame], (foot[0], foot[1], foot[2] - 0.025), turn)
        ahead = np.array([np.sin(np.radians(turn)), -np.cos(np.radians(turn)), 0]) * 0.017
        front = (at[0] + float(ahead[0]), at[1] + float(ahead[1]), at[2])
        still.add(moved(shapes.rectangle(width, height), front, turn), matte(picture))


def _level(shape: Shape, at: tuple[float, float, float]) -> Shape:
    """Lay an upright rectangle flat, facing up."""
    return moved(shape, at, tilt=-90)


def _table(still: Still) -> None:
    rng, (width, depth) = still.rng, TABLE
    top = glossy(textures.wood(rng, 1000, 1500, 6, (0.72, 0.54, 0.36)), 0.24)
    edge = matte(textures.wood(rng, 64, 1024, 1, (0.52, 0.32, 0.17)))
    still.box((width, depth, 0.04), [edge, edge, edge, edge, top, edge], (0, 0, -0.04), 0)
    for x in (-1, 1):
        for y in (-1, 1):
            leg = matte(textures.wood(rng, 512, 128, 1, (0.46, 0.28, 0.15)))
            still.box(
                (0.07, 0.07, -FLOOR - 0.04), [leg], (x * (width / 2 - 0.07), y * (depth / 2 - 0.07), FLOOR), 0
            )
    cloth = matte(textures.kilim(rng, 1500, 700, 21))
    still.add(moved(shapes.runner(0.62, depth / 2, 0.20, rng), (0.04, 0, 0.0)), cloth)


def _vase(still: Still) -> None:
    rng, at = still.rng, np.array([-0.36, 0.16, 0.0])
    knots = [
        (0.0, 0.0),
        (0.055, 0.0),
        (0.062, 0.01),
        (0.098, 0.09),
        (0.088, 0.16),
        (0.046, 0.215),
        (0.040, 0.235),
    ]
    profile = shapes.smooth_profile([*knots, (0.056, 0.262), (0.050, 0.262), (0.036, 0.235), (0.036, 0.12)])
    glaze = glossy(textures.porcelain(rng, 700, 1200), 0.07)
    still.add(moved(shapes.revolve(profile), (at[0], at[1], 0)), glaze)
    stalk = matte(textures.flat(8, 8, (0.24, 0.33, 0.14)))
    for index in range(9):
        heading = index * 2.399963 + rng.uniform(-0.2, 0.2)
        reach, tall = rng.uniform(0.05, 0.17), rng.uniform(0.14, 0.34)
        share = np.linspace(0, 1, 14)[:, None]
        out = np.array([np.cos(heading), np.sin(heading), 0])
        path = at + [0, 0, 0.16] + out * reach * share**2 + np.array([0, 0, 0.08 + tall]) * share
        still.add(shapes.tube(path, 0.0025, 8), stalk)
        for step in (6, 9, 11, 13):
            blade = shapes.leaf(rng.uniform(0.09, 0.15), rng.uniform(0.035, 0.06), rng.uniform(0.7, 1.6))
            turn = np.degrees(heading) + (rng.uniform(-25, 25) if step == 13 else rng.uniform(40, 320))
            leaf = moved(blade, tuple(path[step]), turn)
            still.add(leaf, matte(textures.leaf(rng)))


def _books(still: Still) -> None:
    rng = still.rng
    titles = [
        ("LIGHT/AND DEPTH", "A. Meadow", textures.BLUE, (0.24, 0.33, 0.045), (0.41, 0.16), 100.0),
        ("SMALL/ROOMS", "Ida Fenn", textures.GREEN, (0.21, 0.30, 0.035), (0.40, 0.15), 83.0),
        ("THE LONG/MORNING", "J. Okoro", textures.RED, (0.19, 0.27, 0.040), (0.40, 0.16), 22.0),
    ]
    height = 0.004
    for title, author, ground, (wide, deep, thick), (x, y), turn in titles:
        front = glossy(textures.cover(rng, 640, round(640 * wide / deep), ground, title, author), 0.18)
        back = glossy(textures.spine(rng, 80, round(80 * deep / thick), ground, title.replace("/", " ")), 0.2)
        pages = [matte(textures.paper_edge(rng, 60, 400)) for _ in range(3)]
        still.box((wide, deep, thick), [pages[0], pages[1], pages[2], back, front], (x, y, height), turn)
        height += thick + 0.0005
    mug = glossy(textures.mug(rng, 300, 900), 0.08)
    knots = [
        (0.0, 0.0),
        (0.036, 0.0),
        (0.040, 0.004),
        (0.042, 0.05),
        (0.042, 0.095),
        (0.038, 0.095),
        (0.037, 0.01),
    ]
    still.add(moved(shapes.revolve(shapes.smooth_profile(knots, 60)), (0.40, 0.15, height), 170), mug)
    bow = np.linspace(-1.9, 1.9, 30)
    handle = np.stack([0.034 + 0.030 * np.cos(bow), np.zeros(30), 0.048 + 0.030 * np.sin(bow)], 1)
    glaze = glossy(textures.flat(8, 8, (0.20, 0.26, 0.50)), 0.08)
    still.add(moved(shapes.tube(handle, 0.006), (0.40, 0.15, height), 20), glaze)


def _bowl(still: Still) -> None:
    rng, (x, y) = still.rng, (0.04, 0.16)
    knots = [
        (0.0, 0.0),
        (0.055, 0.0),
        (0.06, 0.008),
        (0.105, 0.035),
        (0.145, 0.085),
        (0.138, 0.087),
        (0.095, 0.042),
    ]
    clay = matte(textures.earthenware(rng, 300, 1400))
    still.add(
        moved(shapes.revolve(shapes.smooth_profile([*knots, (0.0, 0.02)])), (x, y, 0.006)),
        clay,
    )
    apple = [
        (0.0, 0.016),
        (0.012, 0.004),
        (0.026, 0.002),
        (0.042, 0.034),
        (0.036, 0.060),
        (0.016, 0.070),
        (0.0, 0.060),
    ]
    pear = [
        (0.0, 0.006),
        (0.014, 0.0),
        (0.036, 0.022),
        (0.034, 0.046),
        (0.018, 0.078),
        (0.014, 0.096),
        (0.0, 0.102),
    ]
    bites = [
        (apple, (-0.065, -0.045, 0.048), 20.0, 12.0, (0.80, 0.66, 0.22), (0.70, 0.12, 0.10)),
        (apple, (0.060, -0.055, 0.050), 130.0, -14.0, (0.72, 0.74, 0.26), (0.46, 0.62, 0.20)),
        (pear, (0.045, 0.055, 0.046), 75.0, 18.0, (0.78, 0.72, 0.28), (0.74, 0.44, 0.16)),
        (apple, (-0.045, 0.050, 0.050), 240.0, 8.0, (0.86, 0.52, 0.18), (0.74, 0.16, 0.12)),
        (pear, (0.000, -0.010, 0.092), 300.0, 62.0, (0.62, 0.66, 0.24), (0.80, 0.60, 0.22)),
    ]
    stalk = matte(textures.flat(8, 8, (0.25, 0.16, 0.08)))
    for knots, (dx, dy, z), turn, tilt, ground, blush in bites:
        skin = glossy(textures.fruit(rng, ground, blush), 0.2)
        at = (x + dx, y + dy, z)
        still.add(moved(shapes.revolve(shapes.smooth_profile(knots, 60)), at, turn, tilt), skin)
        twig = np.array([[0, 0, knots[-1][1] - 0.004]]) + np.linspace(0, 1, 8)[:, None] * [0.006, 0, 0.022]
        still.add(moved(shapes.tube(twig, 0.0018, 8), at, turn, tilt), stalk)


def _blocks(still: Still) -> None:
    rng, size, turn = still.rng, 0.074, 12.0
    along = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    start = np.array([-0.58, -0.28])
    for row, word in enumerate(("LIGHT", "FIRST")):
        for index, letter in enumerate(word):
            looks = [glossy(face, 0.3) for face in textures.letter_block(rng, letter)]
            x, y = start + along * (index * (size + 0.004)) + rng.normal(0, 0.0015, 2)
            at = (float(x), float(y), row * (size + 0.0005) + 0.007)
            still.box((size, size, size), looks, at, turn + rng.normal(0, 2.5))


def _small_things(still: Still) -> None:
    rng = still.rng
    toy = glossy(textures.ball(rng, 512, 1024), 0.12)
    still.add(moved(shapes.sphere(0.085), (0.40, -0.24, 0.085), 35, 38), toy)
    still.add(moved(shapes.sphere(0.042), (0.13, -0.27, 0.050)), gold(0.12))
    still.add(moved(shapes.sphere(0.026), (0.235, -0.36, 0.034)), gold(0.22))
    sheets = [
        (textures.page(rng, 640, 460, "NOTES"), (0.15, 0.21), (-0.58, -0.06), 24.0),
        (textures.sunrise(rng, 300, 420), (0.15, 0.105), (0.60, -0.06), -20.0),
        (textures.mosaic(rng, 300, 420), (0.15, 0.105), (0.62, -0.30), 12.0),
        (textures.blocks_painting(rng, 300, 420), (0.14, 0.10), (-0.62, 0.34), -15.0),
        (textures.star_chart(rng, 460, 340), (0.14, 0.19), (0.64, 0.34), 8.0),
    ]
    for picture, (wide, deep), (x, y), turn in sheets:
        paper = [matte(textures.flat(8, 8, textures.CREAM))] * 4
        still.box((wide, deep, 0.002), [*paper, glossy(picture, 0.25), paper[0]], (x, y, 0.0004), turn)
    for x, y, turn, colour in ((-0.56, 0.06, -30, textures.YELLOW), (0.56, 0.06, 50, textures.TEAL)):
        shaft = textures.speckled(rng, textures.flat(32, 512, colour), 0.4, 40)
        path = np.array([[-0.085, 0, 0.0046], [0, 0, 0.0046], [0.085, 0, 0.0046]])
        still.add(moved(shapes.tube(path, 0.004, 6), (x, y, 0.0025), turn), glossy(shaft, 0.2))


def _lights(still: Still) -> None:
    """A warm key from the left and a cooler fill; the sky is in `build`."""
    still.lamp((-1.9, -1.9, 2.3), (0, 0, 0), 1.1, [15.0, 12.6, 9.8])
    still.lamp((1.9, -1.5, 2.2), (0.3, 0.2, 0), 1.3, [3.6, 4.1, 4.9])
