"""Rows of a delivery as arrays: where each source stands, its synapses side by side, weights as a matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neurodeploy.simulator.machine import Ints, Row
from neurodeploy.simulator.tensors.sums import Addition
from neurodeploy.step import NUMPY, evaluate


@dataclass(frozen=True)
class Table:
    """Rows in the order in which they are delivered.

    rows : (row,) of them
    columns : positions of all targets among their kind, ascending
    places : (row, synapse) index into columns; len(columns) where a row has no more synapses
    fields : name -> (row, synapse); where a row has no more synapses, a value that some synapse has
    """

    rows: tuple[Row, ...]
    columns: Ints
    places: Ints
    fields: Mapping[str, Ints]

    @property
    def most(self) -> int:
        """Synapses of the longest row."""
        return int(self.places.shape[1])

    @cached_property
    def real(self) -> Ints:
        """(row, synapse) 1 where there is a synapse."""
        return (self.places < len(self.columns)).astype(np.int64)

    def weights(self, addition: Addition, parameters: Mapping[str, Ints], registers: Mapping[str, int]) -> Ints:
        """(row, synapse) what an event of one adds; 0 where there is no synapse.

        parameters : name -> (neuron,) of the target kind
        """
        positions = np.append(self.columns, self.columns[:1])[self.places]
        known: dict[str, Any] = dict(self.fields) | {n: v[positions] for n, v in parameters.items()}
        known |= {n: np.asarray(v, np.int64) for n, v in registers.items()} | {"arriving": np.int64(1)}
        return np.broadcast_to(np.asarray(evaluate(addition.weight, known, NUMPY)), self.places.shape) * self.real

    def dense(self, weights: Ints) -> Ints:
        """(row, column) of weights; no target stands twice in a row."""
        found = np.zeros((len(self.rows), len(self.columns) + 1), np.int64)
        np.put_along_axis(found, self.places, weights, axis=1)
        return found[:, :-1]

    def sums(self, weights: Ints) -> Ints:
        """(column,) sum over the rows."""
        found = np.zeros(len(self.columns) + 1, np.int64)
        np.add.at(found, self.places, weights)
        return found[:-1]


def table_of(rows: Sequence[Row]) -> Table:
    """Lay rows side by side."""
    columns = np.unique(np.concatenate([r.targets for r in rows]))
    most = max(len(r.targets) for r in rows)
    shape = (len(rows), most)
    places = np.full(shape, len(columns), np.int64)
    fields = {n: np.full(shape, v[0]) for n, v in rows[0].fields.items()}
    for number, row in enumerate(rows):
        size = len(row.targets)
        places[number, :size] = np.searchsorted(columns, row.targets)
        for name, values in row.fields.items():
            fields[name][number, :size] = values
    return Table(tuple(rows), columns, places, fields)
