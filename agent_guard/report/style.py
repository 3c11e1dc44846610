"""The look of the report's page: light, dark and on paper. Its hash stands in the page's policy."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #fff; --edge: #d0d7de; --tint: #f6f8fa;
  --good: #1a7f37; --warn: #9a6700; --bad: #b3261e; --calm: #0b5cad; --lease: #7a3e9d; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4ae; --paper: #0d1117; --edge: #30363d;
  --tint: #161b22; --good: #3fb950; --warn: #d29922; --bad: #f4736b; --calm: #58a6ff; --lease: #c297e0;
  --on: #0d1117; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--edge); }
header p { color: var(--soft); margin: 0; }
p, ul { max-width: 50rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; }
li + li { margin-top: .35rem; }
bdi, code, h1, li, p { unicode-bidi: isolate; }
code { font: .84em/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }
pre { background: var(--tint); border: 1px solid var(--edge); border-radius: 6px; padding: .75rem 1rem;
  white-space: pre-wrap; }
.verdict { margin: 1.5rem 0; padding: 1rem 1.25rem; border: 1px solid var(--edge); border-left: 8px solid var(--tone);
  border-radius: 6px; background: var(--tint); }
.verdict strong { color: var(--tone); font-size: 1.35rem; letter-spacing: .04em; }
.verdict p { margin: .25rem 0 0; font-size: 1.1rem; max-width: none; }
.verified { --tone: var(--good); } .tampered { --tone: var(--bad); } .indeterminate { --tone: var(--warn); }
b.verified, b.tampered, b.indeterminate { color: var(--tone); }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--edge);
  overflow-wrap: break-word; }
td bdi, td code { overflow-wrap: anywhere; }
td.tight, td.number, td b { white-space: nowrap; }
.scroll td:not(.tight):not(.number) { min-width: 10rem; }
table.small { width: auto; min-width: 22rem; }
table.facts { width: 100%; }
thead th { color: var(--soft); font-weight: 600; overflow-wrap: normal; white-space: nowrap; }
th.number, td.number { text-align: right; overflow-wrap: normal; }
.facts th { width: 13rem; color: var(--soft); font-weight: 600; overflow-wrap: normal; }
figure { margin: 1rem 0; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .lane { fill: var(--soft); font-weight: 600; } svg .tick { fill: var(--soft); font-size: 11px; }
svg .in { fill: var(--on); font-size: 11px; font-weight: 600; paint-order: stroke; stroke-width: 4; stroke: none; }
svg .on-warn { stroke: var(--warn); } svg .on-lease { stroke: var(--lease); } svg .on-bad { stroke: var(--bad); }
svg .on-unknown { fill: var(--ink); stroke: var(--paper); }
svg pattern path { stroke: var(--on); stroke-width: 1.1; fill: none; } svg #backward path { stroke: var(--soft); }
svg .lease { fill: var(--lease); } svg .unknown { fill: var(--paper); stroke: var(--soft); stroke-dasharray: 3 2; }
svg .good { fill: var(--good); } svg .warn { fill: var(--warn); } svg .bad { fill: var(--bad); }
svg .calm, svg .action { fill: var(--calm); } svg .refusal { fill: var(--warn); }
svg .mark { stroke: var(--paper); stroke-width: 1.5; }
svg .grid { stroke: var(--edge); fill: none; } svg .ground { stroke: var(--soft); fill: none; }
svg .anchor { stroke: var(--soft); fill: var(--soft); stroke-width: 1; }
svg .line { stroke: var(--calm); stroke-width: 2; fill: none; }
svg .line.halted, svg .line.retired { stroke: var(--bad); }
svg .line.death { stroke: var(--ink); stroke-dasharray: 4 3; }
svg circle.stage { fill: var(--calm); } svg circle.death { fill: var(--bad); }
p:has(+ .scroll) { break-after: avoid; }
@media screen and (max-width: 40rem) {
  body { font-size: 15px; } .facts th { width: 8rem; }
  .scroll tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--edge); }
  .scroll td, .scroll tbody, .scroll table { display: block; border: 0; padding: 0; min-width: 0; text-align: left; }
  .scroll td { display: grid; grid-template-columns: 6.5rem 1fr; gap: .5rem; padding: .1rem 0; }
  .scroll thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .scroll td::before { content: attr(data-label); color: var(--soft); }
  .scroll td:not(.tight):not(.number) { min-width: 0; } td.tight, td.number { white-space: normal; text-align: left; }
}
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --edge: #bbb; --tint: #fff; --good: #1a7f37; --warn: #9a6700;
    --bad: #b3261e; --calm: #0b5cad; --lease: #7a3e9d; --on: #fff; color-scheme: light; }
  @page { size: A4; margin: 16mm 14mm; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } svg { min-width: 0; }
  h2 { break-after: avoid; margin-top: 1.5rem; } tr, figure, .verdict, pre { break-inside: avoid; }
  table { font-size: 8.5pt; } .scroll { overflow: visible; } thead { display: table-header-group; }
  svg, .verdict, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
