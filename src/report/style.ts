/** Colours, defined once for light and once for dark. */
export const COLOURS = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b2430; --muted: #5a6675; --rule: #e3e7ec;
  --reference: #5f6f83; --predicted: #b04a00; --aligned: #0a5fc2;
  --good: #146c3a; --good-panel: #eaf6ee; --bad: #b3261e; --bad-panel: #fdeeec;
  --open: #855300; --open-panel: #fdf4e1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --ink: #e6eaf0; --muted: #a0acba; --rule: #2a323d;
    --reference: #a3b1c2; --predicted: #ff9d52; --aligned: #6fb1ff;
    --good: #74d39a; --good-panel: #14271c; --bad: #ff9a90; --bad-panel: #2f1a19;
    --open: #f1c05d; --open-panel: #2b2313;
  }
}
`;

/** The text of charts. */
export const CHART_FONT = '12px/1 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

/** The report's only style sheet. */
export const STYLE = `${COLOURS}* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1192px; padding: 48px 32px 96px;
  background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: lining-nums;
  overflow-wrap: break-word;
}
h1, h2, h3, h4, p, dl, dd, figure, ul, table { margin: 0; }
h1 { font-size: 2rem; line-height: 1.2; font-weight: 680; letter-spacing: -0.015em; text-wrap: balance; }
h2 { font-size: 1.375rem; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em; margin-bottom: 20px; }
h3 { font-size: 1.0625rem; line-height: 1.45; font-weight: 650; }
h4 { font-size: 0.875rem; line-height: 1.4; font-weight: 650; }
header { margin-bottom: 32px; }
.kind { color: var(--muted); font-size: 0.875rem; margin-bottom: 6px; }
.lede { color: var(--muted); margin-top: 10px; }
section { margin-top: 64px; }
.note { color: var(--muted); max-width: 52rem; margin-bottom: 20px; }
small { font-size: 0.8125rem; color: var(--muted); font-weight: 400; }

.verdict, .warnings { border-radius: 14px; padding: 28px 32px 30px; margin-top: 0; }
.verdict.good { background: var(--good-panel); } .verdict.bad { background: var(--bad-panel); }
.verdict.open, .warnings { background: var(--open-panel); }
.warnings { margin-top: 20px; padding-block: 22px 24px; border: 1px solid var(--open); }
.warnings h2 { font-size: 1.0625rem; color: var(--open); margin-bottom: 10px; }
.warnings ul { padding-left: 20px; max-width: 52rem; } .warnings li + li { margin-top: 8px; }
.verdict h2 { display: flex; gap: 14px; align-items: center; font-size: 1.625rem; margin-bottom: 22px; }
.verdict h2 + h3 { margin-top: 0; }
.verdict h3 { margin: 30px 0 12px; font-weight: 600; display: flex; gap: 12px; align-items: center; flex-wrap: wrap; }
.sign {
  flex: none; display: grid; place-items: center; width: 38px; height: 38px; border-radius: 50%;
  font-size: 1.25rem; font-weight: 700; color: var(--paper);
}
.good .sign { background: var(--good); } .bad .sign { background: var(--bad); } .open .sign { background: var(--open); }
.tiles { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 12px; max-width: 57rem; margin-bottom: 14px; }
.tiles > div { background: var(--paper); border-radius: 10px; padding: 12px 16px 14px; }
.tiles dt { font-size: 0.875rem; font-weight: 600; color: var(--muted); } .tiles b { display: block; font-size: 1.625rem; line-height: 1.35; font-weight: 650; font-variant-numeric: tabular-nums; letter-spacing: -0.01em; }
.tiles small { display: block; } .tiles .predicted b, .tiles .predicted dt { color: var(--predicted); } .tiles .aligned b, .tiles .aligned dt { color: var(--aligned); }
.facts > div, .guide > div { display: grid; grid-template-columns: 9.5rem minmax(0, 46rem); gap: 4px 20px; }
.facts > div { padding: 7px 0; }
.facts dt { color: var(--muted); }
.facts + .scroll { margin-top: 28px; }
.pill {
  display: inline-block; border-radius: 999px; padding: 1px 10px; font-size: 0.8125rem; font-weight: 600;
  border: 1px solid currentColor; white-space: nowrap;
}
.pill.good { color: var(--good); } .pill.bad { color: var(--bad); } .pill.open { color: var(--open); }

.scroll { overflow-x: auto; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--aligned); outline-offset: 3px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums lining-nums; }
caption { text-align: left; color: var(--muted); font-size: 0.9375rem; padding-bottom: 12px; }
th { font-weight: 600; text-align: left; }
th, td { vertical-align: top; padding: 10px 0 10px 20px; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { padding-left: 0; }
.numbers td, .numbers thead th + th { text-align: right; }
.numbers small, .numbers .pill { display: block; width: fit-content; }
.numbers td small { margin-left: auto; white-space: nowrap; } .numbers .pill { margin-top: 4px; }
.numbers td b { font-weight: 600; }
thead th { font-size: 0.875rem; color: var(--muted); }
th.reference, h4.reference, .reference h4 { color: var(--reference); } th.predicted { color: var(--predicted); }
th.aligned, .aligned h4 { color: var(--aligned); }
.plain th, .plain td { padding-block: 6px; }
.numbers.plain th:first-child { overflow-wrap: normal; white-space: nowrap; }
.pairs th { width: 13rem; font-weight: 400; color: var(--muted); } .pairs td { overflow-wrap: anywhere; }
.pairs th, .pairs td { padding-block: 7px; font-size: 0.9375rem; }
.pairs caption { color: var(--ink); font-weight: 650; font-size: 1.0625rem; }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 40px 36px; margin-top: 32px; }
h2 + .charts { margin-top: 0; }
figure { display: flex; flex-direction: column; min-width: 0; }
figcaption { font-size: 0.9375rem; line-height: 1.45; margin-bottom: 12px; }
figcaption strong { display: block; font-weight: 650; } figcaption span { color: var(--muted); }
svg { display: block; width: 100%; max-width: 420px; height: auto; font: ${CHART_FONT}; }
figure svg { margin-top: auto; }
svg text { white-space: pre; font-variant-numeric: tabular-nums; }

.halves { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 24px 56px; align-items: start; }
.sample { border-top: 1px solid var(--rule); padding: 24px 0 30px; }
.sample h3 { margin-bottom: 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
.scores { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0 18px; font-size: 0.875rem; color: var(--muted); font-variant-numeric: tabular-nums; }
.scores b { color: var(--ink); font-weight: 600; }
.text { margin-top: 8px; white-space: pre-wrap; overflow-wrap: anywhere; font-family: ui-serif, "Iowan Old Style", Charter, Georgia, serif; line-height: 1.65; }
details { margin-top: 24px; } summary { cursor: pointer; color: var(--aligned); font-weight: 600; padding: 6px 0; width: fit-content; }
details + h3 { margin-top: 48px; }
details .scroll { max-width: 46rem; margin-top: 12px; }
.guide > div { padding: 12px 0; border-top: 1px solid var(--rule); grid-template-columns: 15rem minmax(0, 46rem); }
.guide dt { font-weight: 600; }

@media screen and (max-width: 760px) {
  body { padding: 28px 19px 64px; font-size: 15.5px; }
  h1 { font-size: 1.625rem; }
  section { margin-top: 52px; }
  .verdict, .warnings { margin-inline: -7px; padding: 22px 20px 22px; }
  .verdict { margin-top: 0; } .warnings { margin-top: 16px; }
  .verdict h2 { font-size: 1.3125rem; align-items: flex-start; }
  .sign { width: 30px; height: 30px; font-size: 1rem; }
  .facts > div, .guide > div { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .facts dt { font-size: 0.875rem; }
  .halves { grid-template-columns: minmax(0, 1fr); gap: 28px; }
  .tiles { gap: 6px; } .tiles > div { padding: 9px 8px 11px; } .tiles b { font-size: 1rem; } .tiles small { font-size: 0.75rem; line-height: 1.4; }
  .numbers { font-size: 0.8125rem; } .numbers thead th { font-size: 0.75rem; } .numbers small { font-size: 0.75rem; } .numbers td small { white-space: normal; }
  .numbers th:first-child { max-width: 5.5rem; overflow-wrap: anywhere; }
  th, td { padding-left: 7px; }
  .pairs th { width: 38%; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --ink: #000000; --muted: #4a4a4a; --rule: #cccccc;
    --reference: #5f6f83; --predicted: #b04a00; --aligned: #0a5fc2; --good: #146c3a; --bad: #b3261e; --open: #855300;
    --good-panel: #ffffff; --bad-panel: #ffffff; --open-panel: #ffffff;
  }
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  .verdict { border: 1px solid var(--rule); }
  .sign { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  section { margin-top: 28px; }
  figure, .sample, tr, .facts > div, .guide > div { break-inside: avoid; }
  h2, h3, h4, caption { break-after: avoid; }
  .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 28px 36px; }
  .tiles > div, .warnings { border: 1px solid var(--rule); }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  summary { display: none; }
}
`;
