"""Figures of the reproduction as SVG text: a trade-off and heat maps. Colours are readable on a
light and on a dark page."""

from xml.sax.saxutils import escape

STYLE = ('<style>text{font:12px sans-serif;fill:#333}.t{font-size:14px;font-weight:bold}'
         '.a{stroke:#999;stroke-width:1;fill:none}.g{stroke:#ddd;stroke-width:1}'
         '@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}}</style>')


def svg(width, height, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">{STYLE}{body}</svg>\n')


def text(x, y, words, anchor="start", kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def shade(share):
    """Dark blue through green to yellow, for 0 .. 1."""
    stops = [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)]
    at = max(0.0, min(1.0, share)) * (len(stops) - 1)
    low = min(int(at), len(stops) - 2)
    mixed = (round(a + (b - a) * (at - low)) for a, b in zip(stops[low], stops[low + 1]))
    return "#%02x%02x%02x" % tuple(mixed)


def heat_map(title, names, matrix, top):
    """E: a row a trained step, a column an evaluated one, shaded from 0 to `top`."""
    cell, left, above = 52, 70, 64
    n = len(names)
    body = [text(8, 20, title, kind="t"), text(left, 40, "evaluated on")]
    for j, name in enumerate(names):
        body.append(text(left + cell * (j + 0.5), above - 6, name, "middle"))
        body.append(text(left - 8, above + cell * 0.6 * (j + 0.65), name, "end"))
    for i in range(n):
        for j in range(n):
            value = matrix[i][j]
            share = value / top if top > 0 else 0
            x, y = left + cell * j, above + cell * 0.6 * i
            body.append(f'<rect x="{x}" y="{y:.1f}" width="{cell - 2}" height="{cell * 0.6 - 2:.1f}" '
                        f'fill="{shade(share)}"/>')
            ink = "#000" if share > 0.6 else "#fff"
            body.append(f'<text x="{x + cell / 2 - 1:.1f}" y="{y + cell * 0.39:.1f}" '
                        f'text-anchor="middle" style="fill:{ink}">{value:.2f}</text>')
    return svg(left + cell * n + 12, above + int(cell * 0.6 * n) + 12, "".join(body))


def ticks(top):
    step = 1.0
    while top / step < 3:
        step /= 2 if str(step)[-1] != "5" else 2.5
    while top / step > 8:
        step *= 2
    return [step * i for i in range(int(top / step) + 1)]


def spread(places, least):
    """Places, sorted, moved as little as keeps them `least` apart."""
    groups = []  # [sum of wanted firsts, count]: a run of labels that touch
    for i, place in enumerate(places):
        groups.append([place, 1])
        while len(groups) > 1 and (groups[-1][0] / groups[-1][1] <
                                   groups[-2][0] / groups[-2][1] + least * groups[-2][1]):
            total, count = groups.pop()
            groups[-1][0] += total - least * groups[-1][1] * count
            groups[-1][1] += count
    return [total / count + least * k for total, count in groups for k in range(count)]


def labels(points, px, py):
    """Names beside their points, by clusters that lie near each other along x; a line where a name
    had to move."""
    body, clusters = [], []
    for point in sorted(points, key=lambda p: p[1]):
        if clusters and px(point[1]) - px(clusters[-1][-1][1]) < 90:
            clusters[-1].append(point)
        else:
            clusters.append([point])
    for cluster in clusters:
        cluster.sort(key=lambda p: py(p[2]))
        x = max(px(p[1]) for p in cluster) + 26
        for (label, px_of, py_of, _), y in zip(cluster, spread([py(p[2]) for p in cluster], 15)):
            body.append(f'<path class="a" d="M{px(px_of) + 5:.1f} {py(py_of):.1f}L{x - 4:.1f} {y:.1f}"/>')
            body.append(text(x, y + 4, label))
    return body


def trade_off(title, points, x_name, y_name):
    """points: (label, x, y, standard error of y)."""
    width, height, left, below = 720, 440, 64, 52
    x_top = 1.12 * max(p[1] for p in points)
    y_top = 1.15 * max(p[2] for p in points)

    def px(x):
        return left + (width - left - 90) * x / x_top

    def py(y):
        return height - below - (height - below - 40) * y / y_top

    body = [text(8, 20, title, kind="t"), text((width - 90) / 2, height - 12, x_name, "middle"),
            f'<text transform="translate(16 {height / 2}) rotate(-90)" text-anchor="middle">'
            f'{escape(y_name)}</text>']
    for x in ticks(x_top):
        body.append(f'<path class="g" d="M{px(x):.1f} {py(0):.1f}V40"/>' +
                    text(px(x), py(0) + 16, f"{x:g}", "middle"))
    for y in ticks(y_top):
        body.append(f'<path class="g" d="M{left} {py(y):.1f}H{px(x_top):.1f}"/>' +
                    text(left - 6, py(y) + 4, f"{y:.2g}", "end"))
    body += labels(points, px, py)
    for _, x, y, error in points:
        body.append(f'<path class="a" d="M{px(x):.1f} {py(y - error):.1f}V{py(y + error):.1f}"/>')
        body.append(f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="4" fill="#21918c"/>')
    return svg(width, height, "".join(body))
