/** Charts as a file of their own, for pages that show pictures alone. */
import { escapeHtml, type Html } from '../html.ts';
import { CHART_FONT, COLOURS } from '../style.ts';
import { WIDTH } from './chart.ts';

export interface Panel {
  readonly title: string;
  /** One sentence that says what to see. */
  readonly sentence: string;
  readonly drawing: Html;
}

const GAP = 36;
const EDGE = 16;
/** Room for the title. */
const HEAD = 34;

/** Panels side by side, at most `columns` in a row, as an SVG file of that title with its own colours, for light and for dark. */
export function pictureOf(title: string, panels: readonly Panel[], columns = 2): string {
  const heights = panels.map(({ drawing }) => heightOf(drawing));
  const across = Math.min(columns, panels.length);
  const width = 2 * EDGE + across * WIDTH + (across - 1) * GAP;
  let top = EDGE;
  let content = '';
  for (let first = 0; first < panels.length; first += across) {
    const row = panels.slice(first, first + across);
    for (const [column, { title: name, drawing }] of row.entries()) {
      const left = EDGE + column * (WIDTH + GAP);
      content +=
        `<text x="${left}" y="${top + 14}" font-weight="650" fill="var(--ink)">${escapeHtml(name)}</text>` +
        drawing.markup.replace(
          '<svg ',
          `<svg x="${left}" y="${top + HEAD}" width="${WIDTH}" height="${heights[first + column]}" `,
        );
    }
    top += HEAD + Math.max(...heights.slice(first, first + across)) + EDGE;
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" color="var(--ink)">` +
    `<title>${escapeHtml(title)}</title>` +
    `<style>${COLOURS}svg{font:${CHART_FONT}}text{white-space:pre}</style>` +
    `<rect width="100%" height="100%" fill="var(--paper)"/>${content}</svg>\n`
  );
}

function heightOf({ markup }: Html): number {
  const box = /viewBox="0 0 \d+(?:\.\d+)? (\d+(?:\.\d+)?)"/.exec(markup);
  return Number(box?.[1]);
}
