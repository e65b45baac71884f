"""Reports: float against integer layer by layer, and one page that shows all that is known of a bundle."""

from neurodeploy.report.fidelity import Fidelity, LayerFidelity, measure_fidelity
from neurodeploy.report.numbers import collect_numbers
from neurodeploy.report.page import page_of, value_at, write_report

__all__ = [
    "Fidelity",
    "LayerFidelity",
    "collect_numbers",
    "measure_fidelity",
    "page_of",
    "value_at",
    "write_report",
]
