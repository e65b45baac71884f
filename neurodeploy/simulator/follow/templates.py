"""Pieces of the generated code: how an event meets a strip, and the two kinds of queue.

Numbers that come from tables of unsigned 32 bits and are widened are known not to be negative, so that the compiler
leaves out what Python's negative indices would need; counters are cut to 32 bits for the same reason.
"""

import re
from collections.abc import Mapping

#: What one destination of an event does. After it, keys[:count] are the synapses whose neurons fire, in scan order: the
#: place in the strip in the low 32 bits, and above it the place in scan order where there are several.
ARRIVAL = """\
strip, base = np.int64(go[2 * place]), np.int64(go[2 * place + 1])
begin, whole = np.int64(strips[strip]), np.int64(strips[strip + 1])
width = (whole + 7) >> 3
words[width - 1] = 0
<outside>
<texts>
<faults>
met += 1
meetings += whole
count = 0
bytes8 = words[:width]
for word in range(bytes8.shape[0]):
    if bytes8[word] != 0:
        part = np.int64(np.uint32(8 * word))
        for k in range(8):
            keys[np.int64(np.uint32(count))] = part + k
            count += np.int64(flags[part + k])
if count > 1:
    for i in range(count):
        keys[i] |= np.int64(syn_rank[begin + keys[i]]) << 32
    <sort>"""

#: The neurons of one strip in runs of neighbours.
RUNS = """\
done = np.int64(0)
for run in range(np.int64(strips[strip + 3])):
    entry = strip + 4 + np.int64(np.uint32(2 * run))
    size, at = np.int64(strips[entry]), base + np.int64(strips[entry + 1])
    first = begin + done
    <slices>
    fl = flags[done:done + size]
    for i in range(fl.shape[0]):
        <text>
    done = np.int64(np.uint32(done + size))"""

FAULTS = """\
if outside != 0:
    code = <is_FAULT>
    break"""

#: Into ascending order: gaps first, so that many cost little.
SORT = """\
gap = 1
while gap < count // 3:
    gap = 3 * gap + 1
while gap > 0:
    for i in range(gap, count):
        key = keys[i]
        j = i
        while j >= gap and keys[j - gap] > key:
            keys[j] = keys[j - gap]
            j -= gap
        keys[j] = key
    gap //= 3"""

BEGIN = """\
words = flags.view(np.uint64)
nowhere = np.uint32(0xFFFFFFFF)
count_roots, together = <ROOTS>, <TOGETHER>
before = np.int64(np.uint32(<BEFORE>))
room, patience = made.shape[0] - <WIDEST>, <PATIENCE>
root, met, count_made, meetings = <NEXT>, <MET>, <MADE>, <MEETINGS>
code = <is_DONE>"""

END = """\
<NEXT>, <MET>, <MADE>, <MEETINGS>, <CODE> = root, met, count_made, meetings, code"""

#: Whatever was made first goes on first, and any number may wait: what was made is the queue.
STREAM = """\
<begin>
head, cause = <HEAD>, <CAUSE>
while True:
    if head == count_made or (together != 0 and root < count_roots):
        if root == count_roots:
            break
        if together == 0:
            met = 0
        neuron = np.int64(roots[np.int64(np.uint32(root))])
        cause = causes[np.int64(np.uint32(root))]
        root += 1
    else:
        neuron = np.int64(made[np.int64(np.uint32(head))])
        head += 1
    for place in range(np.int64(go_begin[before + neuron]), np.int64(go_begin[before + neuron + 1])):
        <arrival>
        number = np.int64(fans[3 * np.int64(strips[strip + 2]) + 1]) + base
        for i in range(count):
            neuron = number + np.int64(syn_target[begin + (keys[i] & 0xFFFFFFFF)])
            made[np.int64(np.uint32(count_made))] = neuron
            made_by[np.int64(np.uint32(count_made))] = cause
            count_made += 1
        if met > patience:
            code = <is_UNSETTLED>
            break
    if code != <is_DONE>:
        break
    if count_made > room:
        code = <is_ROOM>
        break
<HEAD>, <CAUSE> = head, cause
<end>"""

#: All events of one group meet what one projection leads to, step after step, each step with its ticks: exact where
#: each group is reached by one projection and nothing bounds the queue: a neuron then sees the same in the same order.
LAYER = """\
<begin>
<constants>
step, taken = <STEP>, <TAKEN>
low, high = np.int64(np.uint32(<LOW>)), np.int64(np.uint32(<HIGH>))
while step < ends.shape[0] and code == <is_DONE>:
    until = ends[np.int64(np.uint32(step))]
    while root < until:
        if count_made > room:
            code = <is_ROOM>
            break
        place = np.int64(roots[np.int64(np.uint32(root))])
        cause = causes[np.int64(np.uint32(root))]
        root += 1
        if go[2 * place] == nowhere:
            continue
        <arrival>
        for i in range(count):
            made[np.int64(np.uint32(count_made))] = base + np.int64(syn_target[begin + (keys[i] & 0xFFFFFFFF)])
            made_by[np.int64(np.uint32(count_made))] = cause
            count_made += 1
    if code == <is_DONE>:
        <ticks>
        made_ends[np.int64(np.uint32(step))] = taken + count_made
        <records>
        step += 1
<STEP> = step
<end>"""

#: A tick of the neurons of one group, in the steps in which it is due.
TICK = """\
if due[<number> * ends.shape[0] + step] != 0:
    <outside>
    <slices>
    for i in range(high - low):
        <text>
    <unsound>"""

UNSOUND = """\
if outside != 0:
    code = <is_FAULT>"""

#: A state after a step, where there is room for it.
RECORD = """\
if kept_<name>.shape[0] > 0:
    kept = kept_<name>[step * (high - low):(step + 1) * (high - low)]
    r_<name> = <array>[low:high]
    for i in range(kept.shape[0]):
        kept[i] = r_<name>[i]"""

#: Any other queue: a ring of destinations, or of all destinations of an event together.
RING = """\
<begin>
mask = np.int64(ring.shape[0] - 1)
depth, entries = <DEPTH>, ring.shape[0] - <ENTRIES>
head, waiting, cause = <HEAD>, <SIZE>, <CAUSE>
while True:
    if waiting == 0:
        if root == count_roots:
            break
        met = 0
        while root < count_roots:
            neuron = np.int64(roots[np.int64(np.uint32(root))])
            cause = causes[np.int64(np.uint32(root))]
            root += 1
            a, z = np.int64(go_begin[before + neuron]), np.int64(go_begin[before + neuron + 1])
            <each>
                ring[(head + waiting) & mask] = <entry>
                waiting += 1
            if together == 0:
                break
        if depth >= 0 and waiting > depth:
            if <DROP> == 0:
                code = <is_FULL>
                break
            <LOST> += waiting - depth
            waiting = depth
        continue
    if count_made > room or waiting > entries:
        code = <is_ROOM>
        break
    ahead = ring[head & mask]
    head += 1
    waiting -= 1
    size_batch = 0
    for place in range(ahead >> 32, ahead & 0xFFFFFFFF):
        <arrival>
        number = np.int64(fans[3 * np.int64(strips[strip + 2]) + 1]) + base
        for i in range(count):
            neuron = number + np.int64(syn_target[begin + (keys[i] & 0xFFFFFFFF)])
            made[np.int64(np.uint32(count_made))] = neuron
            made_by[np.int64(np.uint32(count_made))] = cause
            count_made += 1
            a, z = np.int64(go_begin[before + neuron]), np.int64(go_begin[before + neuron + 1])
            <each>
                batch[np.int64(np.uint32(size_batch))] = <entry>
                size_batch += 1
    if code != <is_DONE>:
        break
    if depth >= 0 and size_batch > depth - 1 - waiting:
        if <DROP> == 0:
            code = <is_FULL>
            break
        <LOST> += size_batch - (depth - 1 - waiting)
        size_batch = depth - 1 - waiting
    if <NEWEST> == 1:
        head -= size_batch
        for i in range(size_batch):
            ring[(head + i) & mask] = batch[i]
    else:
        for i in range(size_batch):
            ring[(head + waiting + i) & mask] = batch[i]
    waiting += size_batch
    if met > patience:
        code = <is_UNSETTLED>
        break
<HEAD>, <SIZE>, <CAUSE> = head, waiting, cause
<end>"""


def filled(template: str, names: Mapping[str, str]) -> str:
    """A template with what stands for each name; pieces of several lines keep the indentation of their place."""
    lines = []
    for line in template.split("\n"):
        whole = re.fullmatch(r"( *)<(\w+)>", line)
        if whole:
            inner = filled(names[whole[2]], names)
            lines += [whole[1] + one for one in inner.split("\n") if one]
        else:
            lines.append(re.sub(r"<([A-Za-z]\w*)>", lambda found: names[found[1]], line))
    return "\n".join(lines)
