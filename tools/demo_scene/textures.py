"""Procedural pictures (sRGB, float32 [H, W, 3] in [0, 1]) for the surfaces of the demo still life.

Nothing here repeats: feature matching needs surfaces on which every spot looks different from every other.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.float32]
Random = np.random.Generator
Colour = tuple[float, float, float]

INK: Colour = (0.10, 0.11, 0.16)
CREAM: Colour = (0.93, 0.89, 0.79)
RED: Colour = (0.72, 0.17, 0.13)
ORANGE: Colour = (0.89, 0.49, 0.14)
YELLOW: Colour = (0.93, 0.74, 0.27)
GREEN: Colour = (0.24, 0.46, 0.27)
TEAL: Colour = (0.10, 0.46, 0.50)
BLUE: Colour = (0.12, 0.24, 0.52)
FESTIVE = (RED, INK, CREAM, TEAL, ORANGE)
DUSK = ((0.20, 0.25, 0.40), (0.70, 0.68, 0.62), (0.34, 0.42, 0.52), (0.16, 0.17, 0.24), (0.52, 0.40, 0.36))
PALETTE = (RED, ORANGE, YELLOW, GREEN, TEAL, BLUE, CREAM)


def cloudy(rng: Random, height: int, width: int, cells: tuple[float, float], octaves: int = 5) -> Picture:
    """Fractal noise in [0, 1]; `cells` are the coarsest cells (down, across)."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows = min(max(2, round(cells[0] * 2**octave)), height)
        columns = min(max(2, round(cells[1] * 2**octave)), width)
        grid = rng.random((rows, columns), np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= 0.55
    low, high = np.percentile(total, (0.5, 99.5))
    return np.asarray(np.clip((total - low) / (high - low), 0, 1), np.float32)


def mix(first: Picture | Colour, second: Picture | Colour, amount: Picture) -> Picture:
    """Blend two colours or pictures by `amount` [H, W]."""
    share = amount[..., None]
    return np.asarray(first, np.float32) * (1 - share) + np.asarray(second, np.float32) * share


def flat(height: int, width: int, colour: Colour) -> Picture:
    return np.broadcast_to(np.asarray(colour, np.float32), (height, width, 3)).copy()


def speckled(rng: Random, picture: Picture, strength: float, cells: float = 60) -> Picture:
    """Uneven brightness, as of paper, paint or glaze."""
    height, width = picture.shape[:2]
    spots = cloudy(rng, height, width, (cells * height / width, cells), 4)
    return np.clip(picture * (1 + strength * (spots[..., None] - 0.5)), 0, 1)


def jitter(rng: Random, colour: Colour, amount: float = 0.06) -> Colour:
    r, g, b = np.clip(np.asarray(colour) + rng.normal(0, amount, 3), 0.02, 0.97)
    return float(r), float(g), float(b)


def lettered(
    picture: Picture,
    text: str,
    at: tuple[float, float],
    size: float,
    colour: Colour,
    align: str = "mm",
    bold: float = 0,
) -> Picture:
    """Print `text` at a relative position (across, down); `size` relates to the height, `bold` to `size`."""
    height, width = picture.shape[:2]
    image = Image.fromarray(np.round(picture * 255).astype(np.uint8))
    font = ImageFont.load_default(max(6.0, size * height))
    ink = tuple(round(255 * c) for c in colour)
    place, stroke = (at[0] * width, at[1] * height), round(bold * size * height)
    ImageDraw.Draw(image).text(place, text, fill=ink, font=font, anchor=align, stroke_width=stroke)
    return np.asarray(image, np.float32) / np.float32(255)


def polygon(picture: Picture, corners: np.ndarray, colour: Colour) -> None:
    """Fill an anti-aliased polygon given in pixels [N, 2] (across, down)."""
    cv2.fillPoly(picture, [np.round(corners * 16).astype(np.int32)], colour, cv2.LINE_AA, shift=4)


def disc(
    picture: Picture, centre: tuple[float, float], radius: float, colour: Colour, thickness: int = -1
) -> None:
    at = (round(centre[0] * 16), round(centre[1] * 16))
    cv2.circle(picture, at, round(radius * 16), colour, thickness, cv2.LINE_AA, shift=4)


def wood(rng: Random, height: int, width: int, boards: int, tone: Colour) -> Picture:
    """Boards running across the picture, each with its own tint, rings, streaks and knots."""
    picture = np.zeros((height, width, 3), np.float32)
    edges = np.linspace(0, height, boards + 1).round().astype(int)
    for top, bottom in pairwise(edges):
        tint = jitter(rng, tone, 0.008)
        picture[top:bottom] = _board(rng, bottom - top, width, tint) * rng.uniform(0.82, 1.12)
        picture[top : top + max(1, height // 500)] *= 0.35
    return np.clip(picture, 0, 1)


def _board(rng: Random, height: int, width: int, tone: Colour) -> Picture:
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    bend = cloudy(rng, height, width, (2, 4), 4) * 0.9
    rings = down / height * rng.uniform(5, 9) + bend * 5 + rng.uniform(0, 9)
    for _ in range(rng.integers(1, 4)):
        knot = np.hypot((across - rng.uniform(0, width)) * 0.35, down - rng.uniform(0, height))
        rings += 2.5 * np.exp(-((knot / (0.16 * height)) ** 2))
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * rings)
    streaks = cloudy(rng, height, width, (height / 6, 5), 3)
    pores = cloudy(rng, height, width, (height / 2.5, width / 24), 2)
    shade = 0.62 + 0.22 * grain**1.5 + 0.45 * (streaks - 0.35) - 0.9 * np.clip(pores - 0.58, 0, None)
    return np.asarray(np.asarray(tone, np.float32) * shade[..., None], np.float32)


def kilim(rng: Random, height: int, width: int, rows: int, grounds: tuple[Colour, ...] = FESTIVE) -> Picture:
    """A flat-woven cloth: bands of different motifs, each motif in its own colours."""
    picture = flat(height, width, grounds[0])
    edges = np.cumsum(np.concatenate([[0.0], rng.uniform(0.6, 1.6, rows)]))
    edges *= height / edges[-1]
    for row, (top, bottom) in enumerate(pairwise(edges)):
        ground = jitter(rng, grounds[row % len(grounds)], 0.03)
        polygon(picture, np.array([[0, top], [width, top], [width, bottom], [0, bottom]]), ground)
        _band(rng, picture, top, bottom, int(rng.integers(0, 4)), ground)
        cv2.line(
            picture,
            (0, round(top)),
            (width, round(top)),
            jitter(rng, CREAM),
            max(1, height // 250),
            cv2.LINE_AA,
        )
    threads = 1 + 0.10 * np.sin(np.arange(height) * np.pi / 2)[:, None, None] * np.ones((1, width, 1))
    return speckled(rng, np.clip(picture * threads, 0, 1).astype(np.float32), 0.45, 90)


def _band(rng: Random, picture: Picture, top: float, bottom: float, motif: int, ground: Colour) -> None:
    width, tall = picture.shape[1], bottom - top
    count = max(4, round(width / tall * rng.uniform(0.6, 1.1)))
    step, middle = width / count, (top + bottom) / 2
    for index in range(count):
        x = (index + 0.5) * step
        colours = [PALETTE[k] for k in rng.permutation(len(PALETTE)) if PALETTE[k] != ground]
        if motif == 0:
            for k, share in enumerate((0.5, 0.34, 0.16)):
                dx, dy = share * step * 0.95, share * tall * 0.9
                rhombus = np.array([[x - dx, middle], [x, middle - dy], [x + dx, middle], [x, middle + dy]])
                polygon(picture, rhombus, jitter(rng, colours[k]))
        elif motif == 1:
            high, low = (top, bottom) if rng.random() < 0.5 else (bottom, top)
            polygon(
                picture,
                np.array([[x - step / 2, low], [x, high], [x + step / 2, low]]),
                jitter(rng, colours[0]),
            )
            polygon(
                picture,
                np.array([[x - step / 4, low], [x, middle], [x + step / 4, low]]),
                jitter(rng, colours[1]),
            )
        elif motif == 2:
            for k in range(int(rng.integers(2, 5))):
                size = tall * rng.uniform(0.06, 0.22)
                spot = (x + rng.uniform(-0.3, 0.3) * step, middle + rng.uniform(-0.3, 0.3) * tall)
                disc(picture, spot, size, jitter(rng, colours[k]))
        else:
            slant = rng.uniform(-0.4, 0.4) * step
            bar = np.array([[-0.3 * step, bottom], [0, bottom], [0.3 * step, top], [0, top]])
            polygon(picture, bar + [x, 0] + [slant, 0] * (bar[:, 1:] == top), jitter(rng, colours[0]))


def sunrise(rng: Random, height: int, width: int) -> Picture:
    """First light over ridges, brightest where the sun comes up."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
    sky = mix((0.20, 0.26, 0.50), (0.98, 0.72, 0.38), np.clip(down * 1.7, 0, 1))
    sky = mix(sky, (0.98, 0.86, 0.70), cloudy(rng, height, width, (6, 3)) ** 3 * 0.8)
    disc(sky, (width * rng.uniform(0.35, 0.65), height * 0.50), height * 0.13, (0.99, 0.90, 0.62))
    for ridge in range(5):
        base = 0.48 + 0.12 * ridge
        outline = base - 0.22 * (cloudy(rng, 2, width, (2, 3 + ridge), 6)[0] - 0.4)
        ground = mix((0.52, 0.36, 0.47), (0.07, 0.17, 0.19), np.full((height, width), ridge / 4, np.float32))
        ground *= 0.75 + 0.5 * cloudy(rng, height, width, (8, 10), 5)[..., None]
        sky = mix(sky, ground, (down > outline[None]).astype(np.float32))
    return np.clip(sky, 0, 1)


def mosaic(rng: Random, height: int, width: int, cells: int = 130) -> Picture:
    """Coloured glass: Voronoi cells with dark leading."""
    seeds = rng.random((cells, 2)) * [height, width]
    down, across = np.mgrid[0:height, 0:width]
    spots = np.stack([down, across], -1).reshape(-1, 1, 2)
    nearest = np.full((height * width, 2), np.inf)
    owner = np.zeros(height * width, int)
    for index, seed in enumerate(seeds):
        distance = np.linalg.norm(spots[:, 0] - seed, axis=1)
        closer = distance < nearest[:, 0]
        nearest[:, 1] = np.where(closer, nearest[:, 0], np.minimum(nearest[:, 1], distance))
        nearest[:, 0] = np.where(closer, distance, nearest[:, 0])
        owner[closer] = index
    tints = np.array(
        [jitter(rng, PALETTE[k], 0.10) for k in rng.integers(0, len(PALETTE), cells)], np.float32
    )
    glass = tints[owner].reshape(height, width, 3)
    lead = np.clip((nearest[:, 1] - nearest[:, 0]) / (0.012 * height), 0, 1).reshape(height, width)
    return speckled(rng, mix(INK, glass, lead.astype(np.float32)), 0.5, 25)


def blocks_painting(rng: Random, height: int, width: int) -> Picture:
    """An abstract painting of nested rectangles and discs."""
    picture = flat(height, width, CREAM)
    for _ in range(60):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.05, 0.28, 2) * min(height, width)
        colour = jitter(rng, PALETTE[int(rng.integers(0, len(PALETTE)))], 0.05)
        if rng.random() < 0.3:
            disc(picture, (x, y), h / 2, colour)
        else:
            turn = rng.uniform(0, np.pi)
            axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            polygon(picture, np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ axes + [x, y], colour)
    return speckled(rng, picture, 0.4, 40)


def star_chart(rng: Random, height: int, width: int) -> Picture:
    """A night-sky poster: stars, joined constellations, circles and captions."""
    picture = mix((0.05, 0.08, 0.20), (0.16, 0.22, 0.42), cloudy(rng, height, width, (4, 3)))
    for radius in (0.2, 0.33, 0.44):
        disc(picture, (width / 2, height * 0.46), radius * width, (0.45, 0.52, 0.70), 1)
    stars = rng.random((140, 2)) * [width, height * 0.92]
    for first, second in rng.integers(0, 140, (260, 2)):
        if np.linalg.norm(stars[first] - stars[second]) < 0.16 * width:
            ends = [tuple(int(v) for v in stars[k]) for k in (first, second)]
            cv2.line(picture, ends[0], ends[1], (0.55, 0.62, 0.80), 1, cv2.LINE_AA)
    for x, y in stars:
        disc(picture, (x, y), rng.uniform(1, 4.5) * width / 400, jitter(rng, (0.96, 0.90, 0.72), 0.05))
    return lettered(np.clip(picture, 0, 1), "THE MORNING SKY", (0.5, 0.95), 0.05, CREAM)


TEXT = """
light falls on the table before anyone is awake and every colour waits for it a cup a book the
blue vase leaves that turn toward the window their shadows move so slowly that only a camera
would notice walk around it look twice then look again from the other side depth is what
changes least when you move
"""


def page(rng: Random, height: int, width: int, title: str) -> Picture:
    """A printed page: a heading and lines of words in ragged order."""
    vocabulary = TEXT.split()
    picture = lettered(flat(height, width, CREAM), title, (0.5, 0.08), 0.065, RED)
    line = 0.038
    for row in range(int(0.80 / line)):
        words = " ".join(rng.choice(vocabulary, 7))
        picture = lettered(
            picture, words[: int(rng.integers(24, 38))], (0.07, 0.16 + row * line), line * 0.86, INK, "lm"
        )
    return speckled(rng, picture, 0.12)


def cover(rng: Random, height: int, width: int, ground: Colour, title: str, author: str) -> Picture:
    """A book's front: frame, title, author and an emblem of rings, leaves and dots."""
    picture = mix(ground, jitter(rng, ground, 0.12), cloudy(rng, height, width, (5, 4)))
    gold = jitter(rng, YELLOW, 0.03)
    inset = round(0.045 * width)
    cv2.rectangle(
        picture, (inset, inset), (width - inset, height - inset), gold, max(2, width // 120), cv2.LINE_AA
    )
    centre = np.array([width * 0.5, height * 0.62])
    for k in range(26):
        turn, reach = k * 2.399963, 0.055 * width * np.sqrt(k + 1)
        spot = centre + reach * np.array([np.cos(turn), np.sin(turn)])
        colour = jitter(rng, PALETTE[int(rng.integers(0, len(PALETTE)))])
        disc(picture, (spot[0], spot[1]), rng.uniform(0.012, 0.034) * width, colour)
    picture = np.clip(picture, 0, 1)
    for row, word in enumerate(title.split("/")):
        picture = lettered(picture, word, (0.5, 0.13 + 0.105 * row), 0.095, CREAM, bold=0.03)
    return speckled(rng, lettered(picture, author, (0.5, 0.93), 0.045, gold), 0.25)


def spine(rng: Random, height: int, width: int, ground: Colour, title: str) -> Picture:
    picture = lettered(flat(height, width, ground), title, (0.46, 0.5), 0.5, CREAM)
    for x in (0.03, 0.05, 0.90, 0.94):
        cv2.line(picture, (round(x * width), 0), (round(x * width), height), YELLOW, max(1, width // 160))
    return speckled(rng, picture, 0.3)


def paper_edge(rng: Random, height: int, width: int) -> Picture:
    """The cut edges of a book's pages."""
    lines = rng.uniform(0.66, 1.0, (height, 1)).astype(np.float32) * np.ones((1, width), np.float32)
    return np.clip(
        np.asarray(CREAM, np.float32)
        * (lines * (0.85 + 0.2 * cloudy(rng, height, width, (2, 9))))[..., None],
        0,
        1,
    )


def letter_block(rng: Random, letter: str, size: int = 256) -> list[Picture]:
    """Six faces of a painted wooden block; the letter is on the front, others on the sides."""
    faces = []
    for index in range(6):
        face = wood(rng, size, size, 1, (0.97, 0.86, 0.66)) * 0.55 + 0.42
        ink = jitter(rng, (RED, GREEN, TEAL, BLUE, ORANGE, INK)[int(rng.integers(0, 6))], 0.04)
        frame = round(size * 0.07)
        cv2.rectangle(
            face, (frame, frame), (size - frame, size - frame), ink, round(size * 0.045), cv2.LINE_AA
        )
        face = np.ascontiguousarray(np.clip(face, 0, 1))
        if index in (0, 1, 2, 3):
            face = lettered(
                face,
                letter if index < 1 else chr(65 + int(rng.integers(0, 26))),
                (0.5, 0.5),
                0.66,
                ink,
                bold=0.045,
            )
        else:
            for _ in range(9):
                spot = rng.uniform(0.2, 0.8, 2) * size
                disc(
                    face,
                    (spot[0], spot[1]),
                    rng.uniform(0.03, 0.09) * size,
                    jitter(rng, PALETTE[int(rng.integers(0, 6))]),
                )
        faces.append(speckled(rng, face, 0.25))
    return faces


def porcelain(rng: Random, height: int, width: int) -> Picture:
    """White glaze with cobalt vines, flowers and borders."""
    picture = mix((0.90, 0.92, 0.93), (0.78, 0.83, 0.88), cloudy(rng, height, width, (5, 8)))
    for _ in range(16):
        x, y, heading = rng.uniform(0, width), rng.uniform(0.25, 0.85) * height, rng.uniform(0, 6.28)
        ink = (0.08, float(rng.uniform(0.14, 0.30)), float(rng.uniform(0.42, 0.68)))
        for step in range(60):
            heading += rng.normal(0, 0.25)
            x, y = x + 0.008 * width * np.cos(heading), y + 0.008 * width * np.sin(heading)
            disc(picture, (x, y), 0.0022 * width, ink)
            if step % 9 == 4:
                _petals(rng, picture, x, y, rng.uniform(0.008, 0.022) * width, ink)
    for y in (0.06, 0.14, 0.90, 0.95):
        for k in range(70):
            x = (k + rng.uniform(0.2, 0.8)) / 70 * width
            disc(
                picture,
                (x, y * height),
                rng.uniform(0.003, 0.009) * width,
                (0.09, 0.17, float(rng.uniform(0.4, 0.65))),
            )
    return speckled(rng, np.clip(picture, 0, 1), 0.12)


def _petals(rng: Random, picture: Picture, x: float, y: float, size: float, ink: Colour) -> None:
    count = int(rng.integers(4, 8))
    for k in range(count):
        turn = 2 * np.pi * k / count + rng.uniform(0, 0.4)
        disc(picture, (x + size * np.cos(turn), y + size * np.sin(turn)), size * 0.48, ink)
    disc(picture, (x, y), size * 0.4, (0.85, 0.88, 0.92))


def ball(rng: Random, height: int, width: int) -> Picture:
    """Panels of bright colour, each with its own stars and dots."""
    picture = flat(height, width, CREAM)
    panels = 8
    order = (RED, CREAM, TEAL, YELLOW, BLUE, CREAM, ORANGE, GREEN)
    for index in range(panels):
        left, right = index * width / panels, (index + 1) * width / panels
        polygon(
            picture,
            np.array([[left, 0], [right, 0], [right, height], [left, height]]),
            jitter(rng, order[index], 0.02),
        )
        for _ in range(16):
            x, y = rng.uniform(left, right), rng.uniform(0.08, 0.92) * height
            stretch = 1 / max(0.25, np.sin(np.pi * y / height))
            size = rng.uniform(0.012, 0.035) * height
            spikes = np.arange(10) * np.pi / 5 + rng.uniform(0, 1)
            reach = np.where(np.arange(10) % 2 == 0, size, size * rng.uniform(0.4, 0.9))
            star = np.stack([x + reach * np.cos(spikes) * stretch, y + reach * np.sin(spikes)], 1)
            polygon(picture, star, jitter(rng, PALETTE[int(rng.integers(0, len(PALETTE)))]))
    return speckled(rng, picture, 0.3, 50)


def leaf(rng: Random, height: int = 256, width: int = 128) -> Picture:
    """A leaf from base (bottom) to tip (top) with midrib, side veins and blotches."""
    green = jitter(rng, (0.20, 0.43, 0.16), 0.05)
    picture = mix(green, jitter(rng, (0.48, 0.62, 0.24), 0.05), cloudy(rng, height, width, (6, 3)))
    pale = jitter(rng, (0.70, 0.77, 0.46), 0.04)
    cv2.line(picture, (width // 2, height), (width // 2, 0), pale, 4, cv2.LINE_AA)
    for y in np.arange(0.1, 1.0, rng.uniform(0.07, 0.10)):
        for side in (-1, 1):
            end = (round(width * (0.5 + 0.5 * side)), round(height * (y - 0.16)))
            cv2.line(picture, (width // 2, round(height * y)), end, pale, 2, cv2.LINE_AA)
    return np.clip(picture, 0, 1)


def fruit(rng: Random, ground: Colour, blush: Colour, height: int = 256, width: int = 512) -> Picture:
    """Skin: a blush on one side, streaks from pole to pole, freckles."""
    streaks = cloudy(rng, height, width, (2, 40), 3)
    side = cloudy(rng, height, width, (2, 3), 2)
    picture = mix(ground, blush, np.clip(side * 0.9 + 0.5 * (streaks - 0.4), 0, 1))
    for _ in range(500):
        spot = (rng.uniform(0, width), rng.uniform(0, height))
        disc(picture, spot, rng.uniform(0.6, 1.7), jitter(rng, (0.42, 0.28, 0.12), 0.06))
    return np.clip(picture, 0, 1)


def earthenware(rng: Random, height: int, width: int) -> Picture:
    """Fired clay with painted bands of strokes."""
    picture = mix((0.66, 0.34, 0.20), (0.80, 0.49, 0.31), cloudy(rng, height, width, (6, 16)))
    for y in (0.15, 0.34, 0.55, 0.76):
        colour = jitter(rng, (CREAM, INK, TEAL, CREAM)[int(y * 5) % 4], 0.03)
        for k in range(34):
            x = (k + rng.uniform(0.1, 0.9)) / 34 * width
            ends = rng.normal(0, 0.05, (2, 2)) * height + [x, y * height]
            first, second = (tuple(int(v) for v in end) for end in ends)
            cv2.line(picture, first, second, colour, int(rng.integers(2, 6)), cv2.LINE_AA)
    return speckled(rng, np.clip(picture, 0, 1), 0.3)


def plaster(rng: Random, height: int, width: int, tone: Colour) -> Picture:
    """A limewashed wall with faint stencilled sprigs, no two alike."""
    picture = mix(tone, jitter(rng, tone, 0.08), cloudy(rng, height, width, (4, 6), 7))
    for _ in range(170):
        x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.28)
        ink = jitter(rng, (tone[0] * 0.72, tone[1] * 0.78, tone[2] * 0.74), 0.04)
        for k in range(int(rng.integers(4, 9))):
            side = turn + (0.9 if k % 2 else -0.9)
            step = 0.010 * width
            x, y = x + step * 0.6 * np.cos(turn), y + step * 0.6 * np.sin(turn)
            tip = np.array([x + step * np.cos(side), y + step * np.sin(side)])
            across = 0.25 * step * np.array([-np.sin(side), np.cos(side)])
            middle = (np.array([x, y]) + tip) / 2
            polygon(picture, np.stack([[x, y], middle + across, tip, middle - across]), ink)
            turn += rng.normal(0, 0.2)
    return speckled(rng, np.clip(picture, 0, 1), 0.18)


def mug(rng: Random, height: int, width: int) -> Picture:
    """The name in large letters over a sunrise that runs around the mug."""
    band = sunrise(rng, height, width)
    picture = mix((0.88, 0.87, 0.82), band, np.ones((height, width), np.float32))
    return lettered(picture, "firstlight", (0.5, 0.22), 0.24, CREAM, bold=0.02)
