"""Events followed by compiled code: the queue and the texts of a chip as one function that numba compiles.

Not a definition: compared with the executors that fold the texts, in every bit, every state and the order of events.
"""
