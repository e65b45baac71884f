"""A crossbar of integrate-and-fire neurons with a queue that loses spikes, written out as loops; knows no texts.

Written from the published description of the core and of what its RTL does: words of a host in, spikes and states out.
"""

from collections import deque

import numpy as np

ROWS, LOW, HIGH = 256, -2048, 2047
PATIENCE = 3000  # spikes that follow from one word before it counts as activity that never ends
ALL = 0x1FF  # the word of the global leak


class Crossbar:
    """One core, from reset of the queue.

    words : (256,) neuron words; weights : (256, 256), row = source; last : highest neuron that a sweep visits
    alone : spikes of neurons reach no row
    """

    def __init__(self, words, weights, last, *, alone, depth=128):
        words = np.asarray(words, np.int64)
        v = words & 0xFFF
        self.v = np.where(v > HIGH, v - 4096, v).tolist()
        self.threshold, self.leak = (words >> 12 & 0xFFF).tolist(), (words >> 24 & 0x7F).tolist()
        self.disabled = (words >> 31).tolist()
        self.weights, self.last, self.alone, self.depth = np.asarray(weights).tolist(), last, alone, depth
        self.spikes, self.lost, self.queue, self.word = [], 0, deque(), -1
        self.endless = False

    def final_words(self):
        rest = [t << 12 | k << 24 | d << 31 for t, k, d in zip(self.threshold, self.leak, self.disabled, strict=True)]
        return [(v & 0xFFF) | r for v, r in zip(self.v, rest, strict=True)]

    def run(self, events):
        """Events as the host sends them, each after the core has come to rest."""
        for number, word in enumerate(events):
            if not self.endless:
                self.word = number
                self.event(int(word))

    def event(self, word):
        code, low = word >> 8, word & 0xFF
        if code & 1:
            for n in range(self.last + 1) if low == ALL & 0xFF else [low]:
                self.update(n, self.leaked(n))
        else:
            virtual = code == 2 and low >> 4
            self.queue.append((low >> 4, low & 15) if virtual else (0, low & 15 if code == 2 else low))
        self.settle()

    def settle(self):
        for _ in range(PATIENCE):
            if not self.queue:
                return
            weight, at = self.queue[0]  # it holds its place until its work is done
            if weight:
                self.update(at, self.added(at, weight - 16 if weight > 7 else weight))
            else:
                for n in range(self.last + 1):
                    self.update(n, self.added(n, self.weights[at][n]))
            self.queue.popleft()
        self.endless = True

    def added(self, n, weight):
        return min(max(self.v[n] + weight, LOW), HIGH)

    def leaked(self, n):
        v, leak = self.v[n], self.leak[n]
        return min(v + leak, 0) if v < 0 else max(v - leak, 0)

    def update(self, n, v):
        fires = v >= 0 and v >= self.threshold[n]
        self.v[n] = 0 if fires else v
        if not fires or self.disabled[n]:
            return
        self.spikes.append((self.word, n))
        if self.alone:
            return
        if len(self.queue) == self.depth:
            self.lost += 1
        else:
            self.queue.append((0, n))
