"""A report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from nvsx.cells import printable
from nvsx.reporting.blocks import TONES, Facts, Lines, Sentence, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvsx.reporting.blocks import Block, Page, Section

STYLE = """\
:root { color-scheme: light dark; --page: #fdfdfc; --ink: #1c2430; --soft: #5d6b7a; --line: #d9dfe5; --card: #f3f5f7;
  --green: #1e8449; --red: #c0392b; --yellow: #9a6b00; --blue: #1f6fa8; --grey: #6b7780;
  --p1: #8e6bbf; --p2: #2f7fb8; --p3: #1f8a86; --p4: #b07a12; --p5: #3c8a4e; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e8ecf0; --soft: #9aa7b3; --line: #303841;
  --card: #1c2229; --green: #82e0aa; --red: #ff8a7a; --yellow: #f4d03f; --blue: #7cc0f0; --grey: #9aa7b3;
  --p1: #c3a6ef; --p2: #7fc1ef; --p3: #6fd6cf; --p4: #efc25f; --p5: #8fdca4; --on: #10141a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
header p, footer { color: var(--soft); margin: 0; }
footer { margin-top: 3rem; font-size: .85rem; }
.badge { display: inline-block; margin: .2rem 0 .5rem; padding: .15rem .7rem; border-radius: 1rem; font-weight: 600;
  border: 2px solid currentColor; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .3rem 1.1rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; white-space: normal; overflow-wrap: anywhere; width: 60%;
  min-width: 12rem; }
.wide { overflow-x: auto; }
.facts th { width: 11rem; font-weight: normal; } .facts td:last-child { width: auto; }
h3 { font-size: .92rem; font-weight: 600; margin: 1rem 0 .3rem; overflow-wrap: anywhere; }
pre { margin: 0; padding: .6rem .8rem; max-height: 22rem; overflow: auto; background: var(--card); border-radius: 4px;
  font: .82rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.green { color: var(--green); } .red { color: var(--red); } .yellow { color: var(--yellow); }
.blue { color: var(--blue); } .grey { color: var(--grey); }
.timeline { display: block; width: 100%; height: auto; margin: .4rem 0 1rem;
  font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
.timeline text { fill: var(--soft); } .timeline text.name { fill: var(--on); font-weight: 600; }
.timeline text.lane { fill: var(--ink); }
.timeline line.tick { stroke: var(--line); } .timeline line.mark { stroke: var(--ink); stroke-dasharray: 2 3; }
.timeline .bar { stroke: var(--page); stroke-width: 1; }
.timeline .tone-green { fill: var(--green); } .timeline .tone-red { fill: var(--red); }
.timeline .tone-yellow { fill: var(--yellow); } .timeline .tone-blue { fill: var(--blue); }
.timeline .tone-grey { fill: var(--grey); }
.timeline .phase-detect { fill: var(--p1); } .timeline .phase-cordon { fill: var(--p2); }
.timeline .phase-drain { fill: var(--p3); } .timeline .phase-remediate { fill: var(--p4); }
.timeline .phase-recover { fill: var(--p5); }
@page { margin: 16mm 14mm; }
@media print { :root { --page: #fff; --ink: #000; --soft: #444; --line: #bbb; --card: #f4f4f4; --green: #1e8449;
  --red: #b03026; --yellow: #7d5700; --blue: #1a5c8c; --grey: #555; --p1: #7a58aa; --p2: #27699a; --p3: #1a7370;
  --p4: #8f620d; --p5: #2f7040; --on: #fff; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10.5pt; -webkit-print-color-adjust: exact;
    print-color-adjust: exact; }
  pre { max-height: none; } pre, .wide { overflow: visible; } h2, h3 { break-after: avoid; }
  tr, svg { break-inside: avoid; } }
"""


def html(page: Page, *, picture: str = "") -> str:
    """The file. `picture` is an SVG element for the place where the page wants its timeline."""
    title = _safe(f"{page.title}: {page.badge}")
    tone = TONES.get(page.tone, "")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{title}</title>",
        f"<style>\n{STYLE}</style>",
        "</head>",
        "<body>",
        "<header>",
        f"<h1>{_safe(page.title)}</h1>",
        f'<p class="badge {tone}">{_safe(page.badge)}</p>',
        f"<p>{_safe(page.subtitle)}</p>",
        "</header>",
        "<main>",
    ]
    for section in page.sections:
        parts += _section(section, picture)
    return "\n".join([*parts, "</main>", f"<footer>{_safe(page.footer)}</footer>", "</body>", "</html>", ""])


def _section(section: Section, picture: str) -> Iterator[str]:
    yield "<section>"
    yield f"<h2>{_safe(section.title)}</h2>"
    for block in section.blocks:
        yield from _block(block, picture)
    yield "</section>"


def _block(block: Block, picture: str) -> Iterator[str]:
    if isinstance(block, Facts):
        yield '<div class="wide"><table class="facts"><tbody>'
        yield from (f"<tr><th>{_safe(name)}</th><td>{_safe(value)}</td></tr>" for name, value in block.rows)
        yield "</tbody></table></div>"
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Lines):
        tone = TONES.get(block.tone, "")
        yield f'<h3 class="{tone}">{_safe(block.heading)}</h3>' if tone else f"<h3>{_safe(block.heading)}</h3>"
        if block.lines:
            printed = "\n".join(escape(printable(line, keep="\t")) for line in block.lines)
            yield f"<pre>{printed}</pre>"
    elif isinstance(block, Sentence):
        yield f"<p>{_safe(block.text)}</p>"
    elif picture:
        yield picture


def _table(table: Table) -> Iterator[str]:
    heads = "".join(f"<th>{_safe(head)}</th>" if head else "<td></td>" for head in table.headings)
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    for row in table.rows:
        cells = []
        for index, cell in enumerate(row):
            tone = TONES.get(cell, "") if index == table.tone else ""
            cells.append(f'<td class="{tone}">{_safe(cell)}</td>' if tone else f"<td>{_safe(cell)}</td>")
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def _safe(text: str) -> str:
    return escape(printable(text))
