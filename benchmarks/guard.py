"""What got slower: the work of a run, piece by piece, against numbers stored for the same kind of machine.

    python benchmarks/guard.py                 compare with benchmarks/baseline.json; status 1 if slower
    python benchmarks/guard.py --update        store the numbers of this machine instead
    python benchmarks/guard.py --widen         add them to what is stored: do so a few times, at other hours
    python benchmarks/guard.py --yardstick PATH/yardstick.py    also blending over native code (needs g++)

Every number is a ratio: the time of a piece of work over that of a ruler just before and after it, which is
plain torch on all threads (matrix products, exponentials, gathers). The ruler knows nothing of firstlight's
code, so that what slows it (another program, a warmer computer, an older torch) does not count as
firstlight's. With a yardstick (see ``rasterize.py``) blending is also held against that.

Of several turns the lowest, the middle and the highest ratio are kept. A piece got slower where its lowest is
now above the highest that is stored: turns of a run say how much of a difference is chance. On a computer
that is shared, two runs differ more than the turns of one do: --widen stores the range over both. Machines
are of one kind where processor and number of cores are called the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from rasterize import beside_yardstick, blending, load_yardstick, whole
from workloads import milliseconds, random_scene, training, workload_of

from firstlight.capture import load_demo
from firstlight.files import atomic_write
from firstlight.geometry import find_geometry
from firstlight.pipeline import machine, prepare, versions
from firstlight.poses import Sift

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.05  # between the stored range and the new one: for what all turns of a run have in common
TURNS = 7
BLENDING = (50_000, 512, 384)  # Gaussians, width, height


def ruler() -> Callable[[], Any]:
    """A quarter of a second of plain torch, or less."""
    generator = torch.Generator().manual_seed(0)
    square = torch.rand(640, 640, generator=generator)
    long = torch.rand(2_000_000, generator=generator)
    places = torch.randint(len(long), (2_000_000,), generator=generator)

    def once() -> float:
        total = torch.zeros(())
        for _ in range(4):
            total = total + (square @ square).sum() + (-long).exp().sum() + long[places].sum()
        return float(total)

    return once


def pieces() -> Iterator[tuple[str, Callable[[], float]]]:
    """Names, and what measures each in milliseconds; made when its turn comes, as each holds memory."""
    yield "command --help", _help
    yield "keypoints of a photo", _keypoints()
    yield "stereo of three photos", _stereo()
    work = workload_of(random_scene(*BLENDING), *BLENDING[1:])
    yield "blending, forward", lambda: float(blending(work, 5)["forward_ms"])
    yield "blending, backward", lambda: float(blending(work, 5)["backward_ms"])
    scene = random_scene(100_000, 1024, 768)
    yield "a picture and its gradients, 100 k", lambda: whole(scene, 1024, 768, 3)["both_ms"]
    for count in (6_300, 100_000):
        step = training(count, 504, 336)
        yield f"a step of training, {count / 1000:g} k", partial(milliseconds, step, 9)


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "firstlight", "--help"], stdout=subprocess.DEVNULL, check=True)
    return 1e3 * (time.perf_counter() - began)


def _keypoints() -> Callable[[], float]:
    photo = load_demo().photos[0]
    return lambda: milliseconds(lambda: Sift().describe(photo), 1)


def _stereo() -> Callable[[], float]:
    capture = prepare(load_demo(with_cameras=True).select([6, 8, 10]), 320)
    return lambda: milliseconds(lambda: find_geometry(capture), 1)


class Ratio(NamedTuple):
    """Of a piece to its ruler, over several turns."""

    low: float
    middle: float
    high: float

    @classmethod
    def over(cls, turns: Sequence[float]) -> Ratio:
        return cls(*(round(value, 5) for value in (min(turns), median(turns), max(turns))))

    def joined(self, other: Ratio) -> Ratio:
        """Over both runs; the middle is halfway between theirs."""
        middle = round((self.middle + other.middle) / 2, 5)
        return Ratio(min(self.low, other.low), middle, max(self.high, other.high))


def measure(turns: int, yardstick: Path | None) -> dict[str, Ratio]:
    """By the name of the piece."""
    once, found = ruler(), dict[str, Ratio]()
    for name, piece in pieces():
        piece()  # compiles or loads what it needs
        ratios, before = [], milliseconds(once, 1)
        for _ in range(turns):
            took, after = piece(), milliseconds(once, 1)
            ratios.append(2 * took / (before + after))
            before = after
        _note(found, name, ratios)
    if yardstick is not None:
        work, native = workload_of(random_scene(*BLENDING), *BLENDING[1:]), load_yardstick(yardstick)
        rounds = [beside_yardstick(work, native, 5, 1) for _ in range(turns)]
        for way in ("forward", "backward"):
            _note(found, f"blending, {way}, by the yardstick", [one[f"{way}_ratio"] for one in rounds])
    return found


def _note(found: dict[str, Ratio], name: str, ratios: Sequence[float]) -> None:
    found[name] = ratio = Ratio.over(ratios)
    print(f"{name:36} {ratio.middle:9.4f} × ({ratio.low:.4f} … {ratio.high:.4f})", flush=True)


def changes(before: Mapping[str, Ratio], now: Mapping[str, Ratio], tolerance: float) -> list[str]:
    """What there is to say about each piece of which all turns were slower, or quicker, than any before."""
    words = []
    for name in sorted(before.keys() & now.keys()):
        change = f"{name}: {now[name].middle / before[name].middle - 1:+.0%}"
        if now[name].low > before[name].high * (1 + tolerance):
            words.append(f"slower   {change}")
        elif now[name].high * (1 + tolerance) < before[name].low:
            words.append(f"quicker  {change} (store it with --update)")
    return words


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--update", action="store_true", help="store this machine's numbers")
    parser.add_argument("--widen", action="store_true", help="add them to those that are stored")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--yardstick", type=Path)
    options = parser.parse_args()
    stored: dict[str, Any] = {}
    if options.baseline.exists():
        stored = json.loads(options.baseline.read_text())
    about = machine()
    kind = f"{about['cpu']}, {about['cores']} cores"
    before = {name: Ratio(*ratio) for name, ratio in stored.get(kind, {}).get("ratios", {}).items()}
    now = measure(options.turns, options.yardstick)
    if options.update or options.widen:
        if options.widen:
            now = {name: ratio.joined(before.get(name, ratio)) for name, ratio in now.items()}
        stored[kind] = {"ratios": before | now, "versions": versions()}
        with atomic_write(options.baseline) as temporary:
            temporary.write_text(json.dumps(stored, indent=1) + "\n")
        print(f"stored for {kind}")
        return 0
    if kind not in stored:
        print(f"Nothing is stored for {kind}: run it again with --update on a quiet machine.")
        return 0
    words = changes(before, now, options.tolerance)
    print("\n".join(words) or "Nothing changed by more than turns of one run differ.")
    return int(any(line.startswith("slower") for line in words))


if __name__ == "__main__":
    sys.exit(main())
