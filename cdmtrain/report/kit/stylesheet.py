"""The page's looks: one column on a phone, two on a desk, dark where the reader is, plain on paper."""

CSS = """
:root { color-scheme: light dark; --ink:#1f2430; --soft:#616978; --paper:#fff; --card:#f5f7fa; --line:#dfe3ea;
  --accent:#0072b2; --warn:#d55e00; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e6e9ef; --soft:#9aa3b2; --paper:#12151b; --card:#1b2029; --line:#2d3440;
    --accent:#56b4e9; --warn:#e69f00; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 28px 20px 56px; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 2rem; line-height: 1.15; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 40px 0 12px; }
h3 { font-size: 1.02rem; margin: 0 0 8px; }
p { margin: 0 0 10px; }
.kind { color: var(--accent); font-weight: 600; font-size: .82rem; margin: 0; letter-spacing: .06em;
  text-transform: uppercase; }
.soft, figcaption, .tile span { color: var(--soft); }
.lead { font-size: 1.12rem; margin: 18px 0; max-width: 52em; }
.note { border-left: 4px solid var(--warn); border-radius: 4px; background: var(--card); padding: 10px 14px;
  margin: 16px 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 10px; margin: 20px 0; }
.tile { background: var(--card); border-radius: 10px; padding: 12px 14px; min-width: 0; }
.tile b { display: block; font-size: 1.42rem; line-height: 1.25; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.tile span { font-size: .8rem; display: block; line-height: 1.3; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px 28px; }
figure { margin: 0; min-width: 0; }
.pair + figure { margin: 24px auto 0; max-width: 760px; }
.scroll + .pair { margin-top: 20px; }
.scroll + .soft { margin-top: 8px; }
figure img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 10px; }
figcaption { font-size: .88rem; line-height: 1.4; padding: 8px 2px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 2px; }
thead th { color: var(--soft); font-weight: 600; font-size: .82rem; vertical-align: bottom; }
.facts { table-layout: fixed; }
.facts th, .facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
.facts th { font-weight: 500; color: var(--soft); width: 34%; }
.dot { display: inline-block; width: .68em; height: .68em; border-radius: 50%; margin-right: .5em;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
pre { background: var(--card); border-radius: 8px; padding: 12px 14px; margin: 0; white-space: pre-wrap;
  overflow-wrap: anywhere;
  font: .88rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
details { border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; margin: 8px 0; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
details[open] summary { margin-bottom: 8px; }
footer { margin-top: 48px; color: var(--soft); font-size: .88rem; }
@media (max-width: 960px) { .tiles { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 720px) {
  body { padding: 18px 14px 40px; }
  h1 { font-size: 1.6rem; }
  .tiles, .pair { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .tile { padding: 10px 12px; }
  .tile b { font-size: 1.22rem; }
  th, td { padding: 5px 4px; font-size: .84rem; }
  thead th, td:first-child { white-space: normal; }
  .facts th { width: 44%; }
}
@media print {
  :root { color-scheme: light; --ink:#000; --soft:#444; --paper:#fff; --card:#fff; --line:#bbb; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  .tiles { grid-template-columns: repeat(6, 1fr); }
  .tile { border: 1px solid var(--line); padding: 6px 8px; }
  .tile b { font-size: 12pt; }
  .pair { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  figure, .tile, tr, .scroll { break-inside: avoid; }
  figure img { max-height: 17cm; width: auto; max-width: 100%; }
  th, td { padding: 3px 4px; white-space: normal; overflow-wrap: anywhere; }
  table:has(th:nth-child(10)) :is(th, td) { font-size: 6.5pt; padding: 2px; }
  h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
