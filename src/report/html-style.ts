import { DARK, LIGHT, type Theme } from './plot.js';

const variables = (theme: Theme) =>
  Object.entries(theme)
    .map(([name, colour]) => `--${name}: ${colour};`)
    .join(' ');

/** Style sheet of the report: no external fonts or files, light and dark, for widths from 390 px. */
export const STYLE = `
:root { color-scheme: light dark; --panel: #f6f7f9; ${variables(LIGHT)} }
@media screen and (prefers-color-scheme: dark) { :root { --panel: #1b2027; ${variables(DARK)} } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--background); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 48px 0 12px; }
h3 { font-size: 15px; margin: 24px 0 8px; }
p { margin: 0 0 12px; max-width: 70ch; }
.kind { color: var(--muted); margin: 4px 0 24px; }
.result { font-size: 20px; line-height: 1.45; }
.note { color: var(--muted); font-size: 14px; margin-top: 10px; max-width: 88ch; }
.missing { border-left: 3px solid var(--end_to_end); background: var(--panel); padding: 12px 16px; margin: 20px 0; overflow-wrap: anywhere; }
.missing ul { margin: 4px 0 0; padding-left: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin: 24px 0 0; }
.tile { background: var(--panel); border-radius: 8px; padding: 14px 16px; }
.tile b { display: block; font-size: 26px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 14px; }
.tile.incubation b { color: var(--incubation); }
.tile.end_to_end b { color: var(--end_to_end); }
figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; }
.method { max-width: 420px; margin-top: 16px; font-size: 12px; }
.method text { fill: var(--ink); }
.method .name { fill: var(--muted); }
.method rect { fill: none; stroke: var(--muted); }
.method .frozen rect { stroke-dasharray: 3 3; }
.method .trained rect { fill: var(--incubation); stroke: none; }
.method .baseline rect { fill: var(--end_to_end); stroke: none; }
.method .trained text, .method .baseline text { fill: var(--background); }
.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; color: var(--muted); font-size: 14px; margin: 8px 0 0; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: 8px; }
.legend i { width: 26px; border-top: 3px solid var(--incubation); }
.legend .thin i { border-top-width: 1.5px; }
.legend .end_to_end i { border-top: 2.5px dashed var(--end_to_end); }
.legend .train i { border-top: 1.5px solid var(--muted); }
.scroll { overflow-x: auto; border: 1px solid var(--grid); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 14px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--muted); font-weight: 500; }
tbody tr { border-top: 1px solid var(--grid); }
tr.total { background: var(--panel); font-weight: 600; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.facts td:first-child { color: var(--muted); width: 30%; }
.facts tr:first-child { border-top: 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 20px 24px; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 20px 24px; }
.maps img { display: block; width: 100%; height: auto; image-rendering: pixelated; border-radius: 4px; }
.maps figcaption { display: grid; grid-template-columns: repeat(3, 1fr); margin-top: 4px; }
.classes { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 2px 0 0; padding: 0; list-style: none; font-size: 13px; overflow-wrap: anywhere; }
.classes li { display: flex; align-items: center; gap: 6px; }
.classes i { width: 12px; height: 12px; border-radius: 3px; flex: none; }
.samples { display: flex; flex-wrap: wrap; gap: 14px 16px; margin: 8px 0 16px; }
.samples i { display: block; background-image: var(--strip); image-rendering: pixelated; border-radius: 4px; }
.samples figcaption { max-width: 112px; margin-top: 4px; }
.samples span { display: block; font-size: 13px; overflow-wrap: anywhere; }
.samples .wrong { color: var(--ink); font-weight: 600; }
.matrix :is(th, td) { padding: 6px 10px; font-weight: 400; }
.matrix tbody th { text-align: left; }
.matrix .right { background: color-mix(in srgb, var(--incubation) calc(var(--share) * 40%), transparent); }
.matrix .wrong { background: color-mix(in srgb, var(--end_to_end) calc(var(--share) * 60%), transparent); }
h4 { font-size: 14px; margin: 16px 0 6px; }
figcaption { font-size: 14px; font-weight: 600; }
figcaption span { color: var(--muted); font-weight: 400; }
pre { margin: 0; padding: 14px 16px; font: 13px/1.5 ui-monospace, monospace; max-height: 460px; overflow: auto; }
code { font: 0.92em ui-monospace, monospace; }
@media print {
  :root { color-scheme: light; }
  main { max-width: none; padding: 0; }
  h1, h2, h3, figcaption, .legend, .legend + .note { break-after: avoid; }
  figure, table, .tiles, .missing, .legend { break-inside: avoid; }
  .scroll { overflow: visible; border: 0; }
  .panels { grid-template-columns: 1fr 1fr; }
  .tile { border: 1px solid var(--grid); }
  table { font-size: 10px; }
  th, td { padding: 4px 6px; }
  pre { max-height: none; overflow: visible; white-space: pre-wrap; font-size: 10px; }
}
@media (max-width: 640px) {
  main { padding: 24px 16px 48px; }
  h1 { font-size: 25px; }
  .result { font-size: 18px; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile b { font-size: 22px; }
  th, td { padding: 8px 6px; }
  th:first-child, td:first-child { padding-left: 10px; }
  .phases :is(th, td):first-child { position: sticky; left: 0; background: var(--background); white-space: normal; }
  .phases .total td:first-child { background: var(--panel); }
  thead th { white-space: normal; }
  .commands { white-space: pre-wrap; }
  .wide { display: none; }
  .narrow { display: block; }
}
`;
