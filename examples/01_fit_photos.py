"""Photos to a scene, in Python: `python examples/01_fit_photos.py [PHOTOS]` (by default the demo)."""

import sys

import firstlight as fl
from firstlight.progress import Terminal

photos = sys.argv[1] if len(sys.argv) > 1 else "demo"
run = fl.fit(photos, progress=Terminal())
print(f"{run.summary['psnr']:.2f} dB on {run.summary['measured_on']}; look at {run.folder / 'report.html'}")
