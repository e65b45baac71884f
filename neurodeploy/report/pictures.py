"""Pictures of a report: inline SVG without scripts, coloured by the page's own variables."""

from collections.abc import Mapping, Sequence
from typing import Any

WIDE, NARROW = 640, 300
#: height of a bar with its gap; most cores that are drawn although they hold nothing
ROW, SHOWN = 13.0, 24
_OPEN = (
    '<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" class="picture" preserveAspectRatio="none">'
)


def escaped(text: object) -> str:
    """Text that can stand in markup."""
    shown = str(text)
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        shown = shown.replace(sign, name)
    return shown


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escaped(label)}" class="picture">'
    return head + "".join(parts) + "</svg>"


def _text(x: float, y: float, text: object, anchor: str = "start", kind: str = "label") -> str:
    return f'<text x="{x:.4g}" y="{y:.4g}" text-anchor="{anchor}" class="{kind}">{escaped(text)}</text>'


def draw_cores(cores: Sequence[Mapping[str, Any]], names: Sequence[str], limits: Sequence[str], total: int) -> str:
    """The chip as a picture: a tile for each core with one bar for each limit, the layer in colour; empty ones too.

    total : cores of the chip; of more than SHOWN only those in use are drawn
    """
    used = {int(core["core"]): core for core in cores}
    numbers = range(total) if max(used) < total <= SHOWN else sorted(used)
    columns = min(len(numbers), 3 if len(numbers) < 13 else 4) or 1
    width = WIDE / columns
    height = 36 + ROW * max(len(limits), 1)
    parts = []
    for place, number in enumerate(numbers):
        x, y = place % columns * width, place // columns * height
        parts += _core(used.get(number), number, names, limits, (x, y, width, height))
    rows = -(-len(numbers) // columns)
    label = f"{len(cores)} of {total} cores in use; bars from top to bottom: {', '.join(limits)}"
    return _svg(WIDE, rows * height, label, parts)


def _core(
    core: Mapping[str, Any] | None,
    number: int,
    names: Sequence[str],
    limits: Sequence[str],
    place: tuple[float, float, float, float],
) -> list[str]:
    x, y, width, height = place
    box = f'x="{x + 3:.4g}" y="{y + 3:.4g}" width="{width - 6:.4g}" height="{height - 6:.4g}"'
    if core is None:
        return [f'<rect {box} rx="6" class="free"/>', _text(x + 14, y + 19, f"core {number}")]
    held = list(dict.fromkeys(h["layer"] for h in core["holds"]))
    colour = names.index(held[0]) % 6 if held and held[0] in names else 0
    parts = [
        f'<rect {box} rx="6" class="tile"/>',
        f'<rect x="{x + 3:.4g}" y="{y + 10:.4g}" width="4" height="{height - 20:.4g}" rx="2" class="c{colour}"/>',
        _text(x + 14, y + 19, f"core {number}", kind="strong"),
        _text(x + width - 12, y + 19, ", ".join(held), "end"),
    ]
    for i, unit in enumerate(limits):
        share = next((u["share"] for u in core["usage"] if u["unit"] == unit), 0.0)
        top, full = y + 27 + i * ROW, width - 28
        parts.append(f'<rect x="{x + 14:.4g}" y="{top:.4g}" width="{full:.4g}" height="8" rx="2" class="rest"/>')
        size = max(full * min(share, 1.0), 1.0 if share else 0.0)
        parts.append(f'<rect x="{x + 14:.4g}" y="{top:.4g}" width="{size:.4g}" height="8" rx="2" class="c{colour}"/>')
    return parts


def draw_usage(usage: Sequence[Mapping[str, Any]]) -> str:
    """The memory map of a chip without cores: its limits as one bar each, filled as far as they are used."""
    parts, row = [], 30.0
    for i, limit in enumerate(usage):
        top, size = i * row, max(WIDE * min(limit["share"], 1.0), 2.0 if limit["asked"] else 0.0)
        parts.append(_text(0, top + 11, limit["unit"]))
        parts.append(_text(WIDE, top + 11, f"{limit['asked']:,} of {limit['at_most']:,}", "end"))
        parts.append(f'<rect x="0" y="{top + 16:.4g}" width="{WIDE}" height="8" rx="2" class="rest"/>')
        kind = "c0" if limit["asked"] <= limit["at_most"] else "bad"
        parts.append(f'<rect x="0" y="{top + 16:.4g}" width="{size:.4g}" height="8" rx="2" class="{kind}"/>')
    return _svg(WIDE, row * len(usage), "what is used of each limit of the chip", parts)


def draw_histogram(histogram: Mapping[str, Any], label: str, kind: str) -> str:
    """Counts in bins, with the ends of the range. kind : "integer" or "float", which names the colour."""
    counts, height, width = histogram["counts"], 74.0, float(NARROW)
    top, step, parts = max([*counts, 1]), width / max(len(counts), 1), []
    for i, count in enumerate(counts):
        tall = 54 * count / top
        place = f'x="{i * step + 0.5:.4g}" y="{56 - tall:.4g}" width="{step - 1:.4g}" height="{tall:.4g}"'
        parts.append(f'<rect {place} class="{kind}"/>')
    parts.append(f'<line x1="0" y1="56.5" x2="{width:g}" y2="56.5" class="axis"/>')
    parts.append(_text(0, 70, f"{histogram['low']:.4g}"))
    parts.append(_text(width, 70, f"{histogram['high']:.4g}", "end"))
    return _svg(width, height, label, parts)


def draw_raster(raster: Mapping[str, Any], side: str) -> str:
    """Events of one sample: time to the right, a row for each neuron. side : "integer" or "float"."""
    rows, steps = len(raster["neurons"]), max(raster["steps"], 1)
    height = max(44.0, min(180.0, 6.0 * rows))
    dx, dy, parts = NARROW / steps, height / max(rows, 1), []
    most = max([1, *(count for _, _, count in raster[side])])
    for t, n, count in raster[side]:
        tall = max(dy * 0.86 * (0.35 + 0.65 * count / most), 1.0)
        place = (
            f'x="{t * dx:.4g}" y="{n * dy + (dy - tall) / 2:.4g}" width="{max(dx * 0.8, 0.9):.3g}" height="{tall:.3g}"'
        )
        parts.append(f"<rect {place}/>")
    frame = f'<rect x="0" y="0" width="{NARROW}" height="{height:.4g}" class="frame"/>'
    drawn = f'{frame}<g class="{side}">{"".join(parts)}</g>'
    words = [_text(0, height + 13, "step 0"), _text(NARROW, height + 13, f"step {steps - 1}", "end")]
    label = f"events of {rows} neurons of {raster['layer']} in {steps} steps, {side}"
    return _svg(NARROW, height + 17, label, [drawn, *words])


def draw_membrane(trace: Mapping[str, Any]) -> str:
    """A membrane in units of its threshold, the threshold as a dashed line, spikes as ticks; the float one beneath."""
    courses = {side: trace[side] for side in ("float", "integer") if trace[side] is not None}
    steps, height = max(len(trace["integer"]), 2), 120.0
    values = [v for course in courses.values() for v in course]
    low, high = min([-0.2, *values]), max([1.2, *values])

    def at(t: float, v: float) -> str:
        return f"{WIDE * t / (steps - 1):.4g},{height - 6 - (height - 18) * (v - low) / (high - low):.4g}"

    parts = []
    one, none = (float(at(0, v).split(",")[1]) for v in (1.0, 0.0))
    parts.append(f'<line x1="0" y1="{none:.4g}" x2="{WIDE}" y2="{none:.4g}" class="axis"/>')
    parts.append(f'<line x1="0" y1="{one:.4g}" x2="{WIDE}" y2="{one:.4g}" class="threshold"/>')
    for side, course in courses.items():
        points = " ".join(at(t, v) for t, v in enumerate(course))
        parts.append(f'<polyline points="{points}" class="line {side}"/>')
    for t in trace["spikes"]:
        x = WIDE * t / (steps - 1)
        parts.append(f'<line x1="{x:.4g}" y1="0" x2="{x:.4g}" y2="8" class="spike"/>')
    label = f"membrane of neuron {trace['neuron']} of {trace['layer']}, in units of its threshold"
    return _svg(WIDE, height, label, parts)


def draw_share(share: float, label: str) -> str:
    """One bar that is full where a share is 1."""
    size = 120 * min(share, 1.0)
    parts = ['<rect x="0" y="1" width="120" height="8" rx="2" class="rest"/>']
    parts.append(f'<rect x="0" y="1" width="{max(size, 1):.4g}" height="8" rx="2" class="c0"/>')
    return _svg(120, 10, label, parts)
