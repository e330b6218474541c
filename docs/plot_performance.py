#!/usr/bin/env python3
"""Draws docs/performance.svg from docs/performance.csv: what one delivery costs each server.

    python3 docs/plot_performance.py [measurements.csv [picture.svg]]

A row of the table is one measurement. A server (`series`) had so many `clients` that talked to one room in messages
of `payload` bytes, `window` of them in flight at a time, and used `us_per_delivery` microseconds of processor time
for each message that it delivered to one client. A measurement that failed has no number there, and is left out;
of several of the same kind the median counts. `deliveries_per_s` is not drawn.

Each of the three panels varies one of the three circumstances and has the other two as in `BASE`. All axes are
logarithmic, and the panels share the vertical one. Needs nothing but Python 3.9.
"""

import csv
import math
import statistics
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

BASE = {"clients": 100, "payload": 64, "window": 32}

# What varies, its axis, and the marks on that.
PANELS = [
    ("clients", "clients in the room", [10, 100, 1000, 10000]),
    ("window", "messages in flight", [1, 2, 4, 8, 16, 32, 64, 128]),
    ("payload", "size of a message (bytes)", [64, 256, 1024, 4096, 16384]),
]
# What is said above a panel of each circumstance that doesn't vary there.
CAPTIONS = {"clients": "{} clients", "payload": "{}-byte messages", "window": "{} in flight"}
MARK_NAMES = {10000: "10,000", 1000: "1,000", 1024: "1 Ki", 4096: "4 Ki", 16384: "16 Ki"}

# Colours that colour-blind readers can tell apart (Okabe and Ito); each has a marker of its own, too.
STYLES = [
    ("#0072b2", "circle"), ("#d55e00", "square"), ("#009e73", "triangle"), ("#cc79a7", "diamond"),
    ("#8a6d00", "cross"), ("#56b4e9", "circle"), ("#000000", "square"), ("#e69f00", "triangle"),
]

WIDTH, HEIGHT = 960, 400
LEFT, RIGHT, TOP, BOTTOM, GAP = 66, 18, 84, 56, 26
PANEL_WIDTH = (WIDTH - LEFT - RIGHT - GAP * (len(PANELS) - 1)) / len(PANELS)
INK, FAINT = "#222222", "#dddddd"


def read(path):
    """Returns {series: {panel: [(x, y), ...]}}, with series in the order of the table and points in that of x."""
    measured = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, restval=""):
            if not row["us_per_delivery"]:
                continue
            circumstances = {name: int(row[name]) for name in BASE}
            cost = float(row["us_per_delivery"])
            if min(cost, *circumstances.values()) <= 0:
                raise ValueError(f"not a positive number in {row}")
            varying = [name for name in BASE if circumstances[name] != BASE[name]]
            if len(varying) > 1:
                raise ValueError(f"both {' and '.join(varying)} differ from the base in {row}")
            # The base itself is part of every panel.
            panels = measured.setdefault(row["series"], {name: {} for name in BASE})
            for name in varying or BASE:
                panels[name].setdefault(circumstances[name], []).append(cost)
    if not measured:
        raise ValueError("no measurements")
    return {
        series: {
            name: sorted((x, statistics.median(costs)) for x, costs in points.items())
            for name, points in panels.items()
        }
        for series, panels in measured.items()
    }


def vertical_marks(costs):
    """1, 2 and 5 times the powers of ten, from the last below all costs to the first above them."""
    decades = range(math.floor(math.log10(min(costs))) - 1, math.ceil(math.log10(max(costs))) + 2)
    marks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    first = max(place for place, mark in enumerate(marks) if mark <= min(costs))
    last = min(place for place, mark in enumerate(marks) if mark >= max(costs))
    return marks[first:max(last, first + 1) + 1]


def scale(low, high, start, end):
    """Maps low..high to start..end, logarithmically."""
    return lambda value: start + (end - start) * math.log(value / low) / math.log(high / low)


def add(parent, tag, text=None, **attributes):
    """Adds an element. Numbers are rounded to tenths; underscores in names stand for hyphens."""
    shown = {
        name.replace("_", "-"): f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
        for name, value in attributes.items()
    }
    element = xml.SubElement(parent, tag, shown)
    element.text = text
    return element


def add_marker(parent, shape, colour, x, y):
    """Adds the marker of a series."""
    if shape == "circle":
        add(parent, "circle", cx=x, cy=y, r=4, fill=colour)
        return
    corners = {
        "square": "-3.5,-3.5 3.5,-3.5 3.5,3.5 -3.5,3.5",
        "triangle": "0,-4.8 4.6,3.6 -4.6,3.6",
        "diamond": "0,-5 5,0 0,5 -5,0",
        "cross": "-4.5,-2 -2,-4.5 0,-2.5 2,-4.5 4.5,-2 2.5,0 4.5,2 2,4.5 0,2.5 -2,4.5 -4.5,2 -2.5,0",
    }
    add(parent, "polygon", points=corners[shape], fill=colour, transform=f"translate({x:.1f} {y:.1f})")


def add_legend(svg, styles):
    """Adds the names of all series in one row."""
    # Widths of letters are a guess, because the reader's font isn't known.
    entry_widths = [44 + 8 * len(series) for series in styles]
    x = LEFT + (WIDTH - LEFT - RIGHT - sum(entry_widths)) / 2
    for (series, (colour, shape)), width in zip(styles.items(), entry_widths):
        add(svg, "line", x1=x, y1=46, x2=x + 26, y2=46, stroke=colour, stroke_width=2)
        add_marker(svg, shape, colour, x + 13, 46.0)
        add(svg, "text", series, x=x + 32, y=50)
        x += width


def add_panel(svg, left, panel, data, styles, marks):
    """Adds one panel, whose frame begins at `left`."""
    name, axis, x_marks = panel
    caption = ", ".join(CAPTIONS[other].format(BASE[other]) for other in BASE if other != name)
    right, bottom = left + PANEL_WIDTH, HEIGHT - BOTTOM
    seen = [x for panels in data.values() for x, _ in panels[name]]
    # The outermost points are kept off the frame.
    x_of = scale(min(x_marks + seen), max(x_marks + seen), left + 14, right - 14)
    y_of = scale(marks[0], marks[-1], float(bottom), float(TOP))
    middle = (left + right) / 2

    for mark in marks:
        add(svg, "line", x1=left, x2=right, y1=y_of(mark), y2=y_of(mark), stroke=FAINT)
    for mark in x_marks:
        add(svg, "line", x1=x_of(mark), x2=x_of(mark), y1=TOP, y2=bottom, stroke=FAINT)
        add(svg, "text", MARK_NAMES.get(mark, str(mark)), x=x_of(mark), y=bottom + 18, text_anchor="middle")
    add(svg, "rect", x=left, y=TOP, width=PANEL_WIDTH, height=bottom - TOP, fill="none", stroke=INK)
    add(svg, "text", caption, x=middle, y=TOP - 8, text_anchor="middle", font_weight="bold")
    add(svg, "text", axis, x=middle, y=bottom + 40, text_anchor="middle")

    # The first series is drawn last, so that none covers it.
    for series, (colour, shape) in reversed(styles.items()):
        points = [(x_of(x), y_of(y)) for x, y in data[series][name]]
        group = add(svg, "g")
        add(group, "title", series)
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        add(group, "polyline", points=line, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round")
        for x, y in points:
            add_marker(group, shape, colour, x, y)


def draw(data):
    """Returns the picture."""
    title = "Processor time of the server for each message delivered"
    svg = xml.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}",
        "width": str(WIDTH), "height": str(HEIGHT), "role": "img",
        "font-family": "sans-serif", "font-size": "13", "fill": INK,
    })
    add(svg, "title", title)
    # Without it, dark text would stand on the dark page of a reader who prefers those.
    add(svg, "rect", width=WIDTH, height=HEIGHT, fill="#ffffff")
    add(svg, "text", title, x=LEFT + (WIDTH - LEFT - RIGHT) / 2, y=24, text_anchor="middle", font_size=16)

    if len(data) > len(STYLES):
        raise ValueError(f"more than {len(STYLES)} series")
    styles = dict(zip(data, STYLES))
    add_legend(svg, styles)
    marks = vertical_marks([y for panels in data.values() for points in panels.values() for _, y in points])
    y_of = scale(marks[0], marks[-1], float(HEIGHT - BOTTOM), float(TOP))
    for mark in marks:
        add(svg, "text", f"{mark:g}", x=LEFT - 7, y=y_of(mark) + 4.5, text_anchor="end")
    place = f"translate(18 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)"
    add(svg, "text", "µs of processor time per delivery", transform=place, text_anchor="middle")
    for number, panel in enumerate(PANELS):
        add_panel(svg, LEFT + number * (PANEL_WIDTH + GAP), panel, data, styles, marks)
    xml.indent(svg, " ")
    return xml.ElementTree(svg)


def main():
    here = Path(__file__).parent
    defaults = [here / "performance.csv", here / "performance.svg"]
    table, picture = sys.argv[1:3] + defaults[len(sys.argv[1:3]):]
    try:
        draw(read(table)).write(picture, encoding="utf-8", xml_declaration=True)
    except KeyError as error:
        sys.exit(f"{table}: there is no column {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"{table}: {error}")


if __name__ == "__main__":
    main()
