"""Generated code that follows events, as Python runs it: what numba compiles is the same text."""

from types import SimpleNamespace

import numpy as np
from plain_kernels import WIDTHS

#: Numbers are Python's, cut to a width where the text says so; with the last name it only looks at memory otherwise.
NUMPY = SimpleNamespace(**(WIDTHS | {"uint64": np.uint64}))


class Plain:
    """Stands for ``generated.Compiled``."""

    def __init__(self, code):
        self.names = {"np": NUMPY}
        text = code.replace("import numpy as np", "")
        exec(compile(text, "code that follows events", "exec"), self.names)  # noqa: S102 - our own, generated a moment ago

    def function(self, name):
        """The function of that name, not compiled."""
        return self.names[name]
