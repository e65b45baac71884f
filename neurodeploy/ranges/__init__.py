"""Range proofs: intervals that the states of a network never leave, whatever comes in.

The argument is induction on the step texts themselves. An interval for each state is a proof if it holds the values
after a reset, and if one step, from anywhere inside it and with the worst input that the weights allow, ends inside it.
The texts are followed path by path with the network's own parameters. What arrives is the sum of all positive or all
negative weights times the largest count that a source can emit; where a text does not simply add, the synapse's text is
applied until nothing new comes. Where events drive the chip every handler may run at any time, so each keeps the
interval on its own.

Candidates are found by doubling and shrunk afterwards by halving; only what one more step confirms is a proof. Neurons
are proved together; where that fails they are told apart.
"""

from neurodeploy.ranges.agreement import agreement_faults
from neurodeploy.ranges.proof import Failure, Proof, StateRange, prove_group, prove_ranges

__all__ = ["Failure", "Proof", "StateRange", "agreement_faults", "prove_group", "prove_ranges"]
