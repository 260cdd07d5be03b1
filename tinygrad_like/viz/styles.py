"""How drawings look: on light paper, on a dark screen, and printed in black and white.

The colours are tints of those by M. Okabe and K. Ito (2008), Color universal design, which readers
who see red and green alike can tell apart. No meaning rests on a colour alone: shape, border or a
word says it again.
"""

from __future__ import annotations

from dataclasses import dataclass

FONT = "Helvetica,Arial,sans-serif"

# What sets a box apart by more than its colour: Graphviz's shape and style.
SHAPES: dict[str, tuple[str, str]] = {
    "operation": ("ellipse", "filled"),
    "parameter": ("box", "filled,rounded"),
    "input": ("box", "filled,bold"),
    "constant": ("box", "filled,dashed"),
    "result": ("box", "filled"),
    "saved": ("box", "filled"),
    "output": ("box", "filled,bold"),
    "group": ("box3d", "filled"),
    "gradient": ("box", "filled,dashed"),
    "state": ("box", "filled,rounded,dashed"),
    "flow": ("plain", ""),  # words at an arrow
}

HOT = ("nan", "inf", "exploding")  # what needs mending at once
COLD = ("zero", "dead", "vanishing")  # what no longer learns


@dataclass(frozen=True)
class Style:
    """Colours: of paper, ink and lines, of each kind of box (fill, border), of text by its meaning."""

    name: str
    paper: str
    ink: str
    line: str
    backward: str
    frame: str
    frames: tuple[str, ...]
    fills: dict[str, tuple[str, str]]
    tones: dict[str, str]
    heat: tuple[str, str]  # the fill of what costs least and most
    change: tuple[str, str]  # of what changed least and most
    hot: str
    cold: str

    def look(self, kind: str) -> tuple[str, str, str, str]:
        """Return shape, style, fill and border of a kind of box."""
        return (*SHAPES[kind], *self.fills.get(kind, (self.paper, self.paper)))

    def warmed(self, share: float, *, changed: bool = False) -> str:
        """Return the colour that stands for a share of the cost, or of a change, from 0 to 1."""
        ends = self.change if changed else self.heat
        low, high = ([int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in ends)
        share = min(max(share, 0.0), 1.0)
        mixed = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
        return "#" + "".join(f"{part:02x}" for part in mixed)

    def alarm(self, marks: tuple[str, ...]) -> str | None:
        """Return the colour of the thick border that marks call for, if they do."""
        if any(mark in HOT for mark in marks):
            return self.hot
        return self.cold if any(mark in COLD for mark in marks) else None


LIGHT = Style(
    "light",
    paper="#ffffff",
    ink="#1f2933",
    line="#7b8794",
    backward="#b45309",
    frame="#b8c1cc",
    frames=("#f8fafc", "#f1f5f9", "#e9eef4"),
    fills={
        "operation": ("#ffedd5", "#ea9a4b"),
        "parameter": ("#dbeafe", "#4f83cc"),
        "input": ("#fdf6b8", "#a89a1a"),
        "constant": ("#f5f7fa", "#9aa5b1"),
        "result": ("#ffffff", "#b8c1cc"),
        "saved": ("#f8e1ee", "#b8699a"),
        "output": ("#dcfce7", "#3f9b5f"),
        "group": ("#ede9fe", "#8468c4"),
        "gradient": ("#fff7ed", "#b45309"),
        "state": ("#f8e1ee", "#b8699a"),
    },
    tones={
        "faint": "#4a5662",
        "rule": "#334e68",
        "order": "#863b06",
        "cost": "#6b3d00",
        "alarm": "#9b1810",
        "change": "#6b21a8",
    },
    heat=("#fff7ed", "#fdba74"),
    change=("#f6efff", "#dabdfb"),
    hot="#d1350f",
    cold="#1d4ed8",
)

DARK = Style(
    "dark",
    paper="#11161d",
    ink="#f0f4f8",
    line="#8296ab",
    backward="#f5a45a",
    frame="#3e4c5c",
    frames=("#18202a", "#1f2935", "#273341"),
    fills={
        "operation": ("#51351a", "#e08e3c"),
        "parameter": ("#163a66", "#63a4f4"),
        "input": ("#4b4708", "#e3d43a"),
        "constant": ("#222b36", "#8090a2"),
        "result": ("#2b3644", "#64748b"),
        "saved": ("#542a45", "#df8fbe"),
        "output": ("#13442c", "#4cc38a"),
        "group": ("#3a3061", "#a78bfa"),
        "gradient": ("#3a2a17", "#f5a45a"),
        "state": ("#542a45", "#df8fbe"),
    },
    tones={
        "faint": "#bcc8d5",
        "rule": "#d2e3f7",
        "order": "#f8b877",
        "cost": "#ffdca8",
        "alarm": "#ffb09f",
        "change": "#dcb8ff",
    },
    heat=("#33291f", "#82390a"),
    change=("#2a2340", "#5f3696"),
    hot="#ff6b4a",
    cold="#8ab4ff",
)

PRINT = Style(
    "print",
    paper="#ffffff",
    ink="#000000",
    line="#444444",
    backward="#000000",
    frame="#888888",
    frames=("#ffffff", "#ffffff", "#ffffff"),
    fills=dict.fromkeys(SHAPES, ("#ffffff", "#000000")),
    tones=dict.fromkeys(("faint", "rule", "order", "cost", "alarm", "change"), "#000000"),
    heat=("#ffffff", "#c4c4c4"),
    change=("#ffffff", "#c4c4c4"),
    hot="#000000",
    cold="#000000",
)

STYLES = {style.name: style for style in (LIGHT, DARK, PRINT)}

# ----- Patterns in the place of colours -----------------------------------------------------------

_RULES: dict[str, tuple[int, str]] = {  # size of the tile, and what is drawn on it
    "parameter": (6, "M-1,1l2,-2M0,6l6,-6M5,7l2,-2"),
    "input": (7, "M0,3.5H7"),
    "saved": (7, "M2,2h.1"),
    "state": (7, "M2,2h.1"),
    "output": (7, "M0,0L7,7M7,0L0,7"),
    "group": (6, "M-1,5l2,2M0,0l6,6M5,-1l2,2"),
    "gradient": (6, "M1,0V6M0,1H6"),
}


def with_patterns(svg: str, kinds: set[str]) -> str:
    """Return an SVG document with a pattern in each box of the kinds that have one, unless heat fills it.

    The words on a pattern get a white rim. Everything stands under a class of its own, so that it
    changes no other picture of the same page.
    """
    head, opening, rest = svg.partition("<svg ")
    end = rest.index(">") + 1
    tiles, rules = [], []
    for kind in sorted(kinds & set(_RULES)):
        size, path = _RULES[kind]
        width = 1.6 if "h.1" in path else 0.6
        tiles.append(
            f'<pattern id="pattern-{kind}" width="{size}" height="{size}" '
            f'patternUnits="userSpaceOnUse"><rect width="{size}" height="{size}" fill="white"/>'
            f'<path d="{path}" stroke="#8c8c8c" stroke-width="{width}" stroke-linecap="round"/>'
            "</pattern>"
        )
        shapes = ",".join(
            f'.for-print .{kind}:not(.warm) {shape}:not([fill="none"])'
            for shape in ("polygon", "path", "rect")
        )
        rules.append(f"{shapes}{{fill:url(#pattern-{kind})}}")
    rules.append(
        ".for-print text{paint-order:stroke;stroke:#fff;stroke-width:2.5px;stroke-linejoin:round}"
    )
    defs = f"<defs>{''.join(tiles)}</defs><style>{''.join(rules)}</style>"
    return f'{head}{opening}class="for-print" {rest[:end]}\n{defs}{rest[end:]}'
