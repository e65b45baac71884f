"""Proofs that the states of a network neither overflow nor saturate, inputs that make them, and certificates.

A rail is where a text cuts a number: a saturation, a wrap, a clip, the end of a register (``rails``). Ranges that no
step leaves are searched (``search``) and checked by code that takes nothing from the search but the ranges
(``certificate``, over ``motion`` and ``boxes``). What ranges cannot show is asked of an SMT solver, for which the texts
are read over one more table (``smt``, ``induction``). What happens is shown by an input that the simulator replays
(``attack``, ``watch``).
"""

from neurodeploy.proofs.certificate import KIND, Certificate, check_again, check_certificate, read_certificate
from neurodeploy.proofs.findings import Finding, Proofs, Witness
from neurodeploy.proofs.prover import prove, recurrent, replay

__all__ = [
    "KIND",
    "Certificate",
    "Finding",
    "Proofs",
    "Witness",
    "check_again",
    "check_certificate",
    "prove",
    "read_certificate",
    "recurrent",
    "replay",
]
