"""The report of a run: one page, from the run folder alone."""

from firstlight.evaluate.report.page import REPORT_FILE as REPORT_FILE
from firstlight.evaluate.report.page import write_report as write_report
