"""Pictures of neurons and spikes: each function returns a matplotlib Figure and shows nothing.

Tensors and arrays are (time, batch, ...), as everywhere. Time is in steps, or in milliseconds where ``dt_s`` states the
duration of a step. The same data give the same picture; ``save_picture`` writes equal bytes.
"""

from neurodeploy.plot.deployed import plot_float_integer
from neurodeploy.plot.derived import plot_derived
from neurodeploy.plot.neurons import plot_evolution, plot_membrane, plot_resets
from neurodeploy.plot.populations import plot_raster, plot_rates
from neurodeploy.plot.style import save_picture

__all__ = [
    "plot_derived",
    "plot_evolution",
    "plot_float_integer",
    "plot_membrane",
    "plot_raster",
    "plot_rates",
    "plot_resets",
    "save_picture",
]
