"""What cannot be read in SVGs as gnuplot writes them: svg_geometry.py FILE… prints one line for each text that leaves the
page, or overlaps another text, a curve, a band, a marker or a frame, and for each curve that lies wholly under others."""
import re, sys
import xml.etree.ElementTree as ET

# Advance widths of DejaVu Sans in em, the widest font that a browser is likely to take for sans-serif.
WIDTHS = {**dict.fromkeys("il|jI.,:;'! ft()[]/-\u00a0r", 0.36), **dict.fromkeys("mWM@%w", 0.9),
          **dict.fromkeys("−±+=<>×∝≥≤", 0.84)}


def width(text):
    return sum(WIDTHS.get(c, 0.65 if not c.isupper() else 0.7) for c in text if c != "\u200a")


def numbers(text):
    return [float(v) for v in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def text_box(group, text):
    """Left, top, right, bottom of a text in its group."""
    x, y = numbers(re.search(r"translate\(([^)]*)\)", group.get("transform"))[1])[:2]
    base = float(group.get("font-size"))
    size, drop, across, top, bottom = base, 0.0, 0.0, 0.0, 0.0
    for span in text.iter():
        if not span.tag.endswith("tspan"):
            continue
        size = float(span.get("font-size", base))
        drop += float(span.get("dy", "0").rstrip("px"))
        words = span.text or ""
        across += size * width(words)
        if words.strip():
            top, bottom = min(top, drop - 0.73 * size), max(bottom, drop + 0.2 * size)
    start = {"start": 0, "middle": -across / 2, "end": -across}[group.get("text-anchor", "start")]
    box = (start, top, start + across, bottom)
    if "rotate" in group.get("transform"):
        box = (box[1], -box[2], box[3], -box[0])
    return x + box[0], y + box[1], x + box[2], y + box[3]


def overlap(a, b, least=0.3):
    return min(a[2], b[2]) - max(a[0], b[0]) > least and min(a[3], b[3]) - max(a[1], b[1]) > least


def pieces(path):
    """The lines of a path as lists of points."""
    lines = []
    for command, x, y in re.findall(r"([ML])\s*(-?[\d.]+),(-?[\d.]+)", path):
        if command == "M":
            lines.append([])
        lines[-1].append((float(x), float(y)))
    return lines


def along(line, step=2.0):
    for (x, y), (u, v) in zip(line, line[1:]):
        n = max(1, int(((u - x) ** 2 + (v - y) ** 2) ** 0.5 / step))
        for i in range(n):
            yield x + (u - x) * i / n, y + (v - y) * i / n


def distance(p, a, b):
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = 0 if dx == dy == 0 else max(0, min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy)))
    return ((p[0] - a[0] - t * dx) ** 2 + (p[1] - a[1] - t * dy) ** 2) ** 0.5


def complaints(file):
    root = ET.parse(file).getroot()
    strip = lambda e: e.tag.split("}")[-1]
    page = numbers(root.get("viewBox"))
    texts, curves, points, frames = [], [], [], []

    def walk(element, plot, group):
        if strip(element) == "defs":
            return
        if strip(element) == "g":
            plot = plot or element.get("id", "").startswith("gnuplot_plot")
            group = {**group, **element.attrib}
            if "transform" not in element.attrib:
                group.pop("transform", None)
        if strip(element) == "text":
            words = "".join(element.itertext()).strip()
            if words:
                texts.append((words, text_box(group, element)))
        if plot and strip(element) == "use":
            points.append(numbers(element.get("transform"))[:2])
        if strip(element) in ("path", "polygon"):
            if strip(element) == "polygon":
                flat = numbers(element.get("points"))
                lines = [list(zip(flat[::2], flat[1::2]))]
            else:
                lines = pieces(element.get("d"))
            stroke = element.get("stroke") or group.get("stroke") or ""
            if plot:
                curves.append((lines, float(group.get("stroke-width", 1)), strip(element) == "polygon",
                               element.get("stroke-dasharray"), stroke))
            elif stroke.replace(" ", "") == "rgb(51,51,51)" and lines and len(lines[0]) == 3:
                xs, ys = zip(*lines[0])  # left and lower edge
                frames.append((min(xs), min(ys), max(xs), max(ys)))
        for child in element:
            walk(child, plot, group)

    walk(root, False, {})
    found = []
    if not texts or not frames:
        found.append("no text or no frame")
    for i, (words, box) in enumerate(texts):
        if box[0] < -0.5 or box[1] < -0.5 or box[2] > page[2] + 0.5 or box[3] > page[3] + 0.5:
            found.append(f"'{words}' leaves the page: {[round(v, 1) for v in box]} of {page[2:]}")
        for other, other_box in texts[i + 1:]:
            if overlap(box, other_box):
                found.append(f"'{words}' overlaps '{other}'")
        for frame in frames:
            if overlap(box, frame):
                found.append(f"'{words}' stands in a frame")
        inside = lambda x, y, r: box[0] - r < x < box[2] + r and box[1] - r < y < box[3] + r
        if any(inside(x, y, 0) for lines, w, band, dash, stroke in curves for line in lines for x, y in along(line)):
            found.append(f"'{words}' overlaps a curve")
        if any(inside(x, y, 1) for x, y in points):
            found.append(f"'{words}' overlaps a marker")
    drawn = [c for c in curves if not c[2]]
    for i, (lines, w, band, dash, stroke) in enumerate(drawn):
        samples = [p for line in lines for p in along(line, 4)]
        hidden = 0
        for p in samples:
            hidden += any(u >= w and d is None and distance(p, a, b) < (u - w) / 2 + 0.35
                          for others, u, _, d, s in drawn[i + 1:] if s != stroke
                          for line in others for a, b in zip(line, line[1:])
                          if min(a[0], b[0]) - u <= p[0] <= max(a[0], b[0]) + u)
        if samples and hidden > 0.9 * len(samples):
            found.append(f"a curve of {stroke} lies under others")
    return found


bad = False
for file in sys.argv[1:]:
    for line in complaints(file):
        bad = True
        print(f"{file.split('/')[-1]}: {line}")
sys.exit(bad)
