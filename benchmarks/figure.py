"""A bar chart of ratios with their spread, as SVG: no library, no font of its own."""

from xml.sax.saxutils import escape

ROW, LEFT, WIDTH, TOP = 22, 330, 420, 40


def nice_step(greatest):
    return next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if greatest / step <= 8)


def bars(title, unit, rows):
    """rows: (label, value, least, greatest). A line marks 1."""
    greatest = max(row[3] for row in rows) * 1.02
    height = TOP + ROW * len(rows) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14">{escape(title)}</text>',
    ]

    def x(value):
        return LEFT + WIDTH * value / greatest

    bottom, value, step = TOP + ROW * len(rows), 0.0, nice_step(greatest)
    while value <= greatest:
        parts.append(
            f'<line x1="{x(value):.1f}" y1="{TOP}" x2="{x(value):.1f}" y2="{bottom}" '
            f'stroke="#dddddd"/><text x="{x(value):.1f}" y="{bottom + 16}" '
            f'text-anchor="middle">{value:g}{escape(unit)}</text>'
        )
        value += step
    for number, (label, value, least, most) in enumerate(rows):
        y = TOP + ROW * number
        middle = y + ROW / 2
        colour = "#3b75af" if value >= 1 else "#c0504d"
        parts += [
            f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{y + 4}" width="{x(value) - LEFT:.1f}" height="{ROW - 8}" '
            f'fill="{colour}"/>',
            f'<line x1="{x(least):.1f}" y1="{middle}" x2="{x(most):.1f}" y2="{middle}" '
            'stroke="#222222" stroke-width="2"/>',
            f'<text x="{x(most) + 6:.1f}" y="{middle + 4}">{value:.2f}{escape(unit)}</text>',
        ]
    parts.append(
        f'<line x1="{x(1):.1f}" y1="{TOP}" x2="{x(1):.1f}" y2="{bottom}" stroke="#222222"/></svg>'
    )
    return "\n".join(parts) + "\n"
