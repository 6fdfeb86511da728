"""How good a scene is: metrics against photos, and the report."""

from firstlight.evaluate.distractors import with_distractors as with_distractors
from firstlight.evaluate.lpips import Lpips as Lpips
from firstlight.evaluate.lpips import lpips_missing as lpips_missing
from firstlight.evaluate.metrics import Flip as Flip
from firstlight.evaluate.metrics import fit_colours as fit_colours
from firstlight.evaluate.metrics import flip as flip
from firstlight.evaluate.metrics import psnr as psnr
from firstlight.evaluate.metrics import ssim as ssim
from firstlight.evaluate.photos import SEEN as SEEN
from firstlight.evaluate.photos import Evaluation as Evaluation
from firstlight.evaluate.photos import PhotoScore as PhotoScore
from firstlight.evaluate.photos import evaluate_photos as evaluate_photos
from firstlight.evaluate.report import REPORT_FILE as REPORT_FILE
from firstlight.evaluate.report import write_report as write_report
from firstlight.evaluate.seen import Depths as Depths
from firstlight.evaluate.seen import seen_mask as seen_mask
