"""The step language: what one neuron or one synapse does in one step, as a few lines of text.

Specification
-------------
::

    text       = { statement }                       one per line, comments start with #
    statement  = NAME "=" number
               | "if" condition ":" NEWLINE INDENT { statement } DEDENT      a guard: no else
    number     = INTEGER | NAME | "-" number | number OP number | FUNCTION "(" number {"," number} ")"
               | number "if" condition "else" number
    condition  = number ("<" | "<=" | ">" | ">=" | "==" | "!=") number
               | condition ("and" | "or") condition | "not" condition
    OP         = "+" | "-" | "*" | "//" | "<<" | ">>"      precedence and brackets as in Python

Numbers are integers without bound; an executor must give the same result as long as every interval fits int64,
and texts whose intervals leave int64 are refused: of an operator, a literal or a name, in untaken branches too.
A comparison is a condition, never a number; conditions cannot be assigned. A guard runs its lines only where the
condition held when the guard was met; every other name keeps its value, and a name that is new in the guard has none
after it. An untaken branch has no effect and cannot fail. INTEGER is written as in Python (``0x1f``, ``1_000``).
Outside comments a text is ASCII; an expression has at most 100 levels and 10,000 operators, a text at most 10,000
calls of macros.

=============================  ===========================================================================
``x // y``                     floor of the quotient; the range of y must lie in 1 and above
``x >> n``, ``x << n``         floor(x / 2**n), also for negative x (-1 >> 3 is -1); x * 2**n; n in 0..62 by range
``min max`` (two or more),     as usual; ``clip(x, low, high)`` is min(max(x, low), high)
``abs``, ``clip``
``sat(x, bits)``               clip to the signed width: -2**(bits-1) .. 2**(bits-1) - 1
``wrap(x, bits)``              two's complement: the value of that width equal to x modulo 2**bits
``shift_to_zero(x, n)``        sign(x) * (abs(x) >> n): the magnitude is floored
``round_half_even(x, n)``      x / 2**n to the nearest integer, halves to the even one
``scale2(x, e)``               x * 2**e for e >= 0, else floor(x / 2**-e); e in -62..62 by range
=============================  ===========================================================================

``bits`` is an integer literal from 1 to 63. A NAME is lower case letters, digits and underscores, begins with a letter
and is neither a keyword nor a function. What may be read: the states and parameters of the neuron, and what the
handler is given (``external`` for an input, ``arriving`` and the synapse fields for a connection). What may be
assigned: states, and new names, each value of which must be read afterwards and does not outlive the handler.
Expressions of a chip's own are macros (``"dash(x, d)" = "..."``) that see their arguments alone, call each other
without recursion, and are checked even where no text calls them. After each handler every state must lie in its
declared width; where it does not, the text is at fault (``TextAtFault``) and the value is never repaired.

Float texts (layers) have none of ``//``, ``<<``, ``>>`` and of the functions from ``sat`` on. They add decimal
literals, ``/``, ``exp``, ``exp2``, ``expm1``, ``log2``, ``round``, ``floor``, ``detach`` and the firing functions,
which carry the surrogate gradient: ``above(v, threshold)`` and ``at_or_above(v, threshold)`` (0 or 1),
``count(v, threshold)`` (floor(v / threshold), at least 0: one spike for each threshold that v reaches) and
``count_above(v, threshold)`` (ceil(v / threshold) - 1, at least 0: one spike for each threshold that v exceeds).
Flags (named options) stand as conditions, also beside others (``flag and v > 0``), but not in macros; they are resolved
when the text is parsed. What they take away must be of the language and then does not exist: its names are not read.

An executor is a table from operator to function; ``run`` folds a text over a table. PYTHON is the definition. A table
that needs another kind of number than Python's for the literals of a text has an entry ``literal``.
"""

from neurodeploy.step.check import check_names
from neurodeploy.step.intervals import Interval, final_intervals, signed, unsigned
from neurodeploy.step.language import parse
from neurodeploy.step.operators import FLOAT, INTEGER
from neurodeploy.step.tables import FORMULA, NUMPY, PYTHON, Table, evaluate, run
from neurodeploy.step.tree import Assign, Call, Const, Guard, Name, Text, assigned

__all__ = [
    "FLOAT",
    "FORMULA",
    "INTEGER",
    "NUMPY",
    "PYTHON",
    "Assign",
    "Call",
    "Const",
    "Guard",
    "Interval",
    "Name",
    "Table",
    "Text",
    "assigned",
    "check_names",
    "evaluate",
    "final_intervals",
    "parse",
    "run",
    "signed",
    "unsigned",
]
