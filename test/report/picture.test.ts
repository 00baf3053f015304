import { describe, expect, it } from 'vitest';
import { lineChart } from '../../src/report/charts/lines.ts';
import { pictureOf } from '../../src/report/charts/picture.ts';
import { blankDocument } from '../../src/report/document.ts';

const document = blankDocument();
const series = (name: string) => ({
  name,
  color: 'var(--aligned)',
  label: name,
  line: true,
  points: [
    { x: 0, y: 1, interval: [0.5, 1.5] as const },
    { x: 1, y: Number.NaN },
    { x: 2, y: 3 },
  ],
});

describe('a chart of lines', () => {
  it('names each series and leaves out what cannot be drawn', () => {
    const { markup } = lineChart(document, 'a label', [series('first'), series('second')], {
      x: { label: 'across' },
      y: { label: 'up' },
      diagonal: true,
    });
    expect(markup).toContain('aria-label="a label"');
    for (const text of ['first', 'second', 'across', 'up']) expect(markup).toContain(`>${text}</text>`);
    expect(markup).not.toContain('NaN');
    // Two points of each series.
    expect(markup.match(/<circle|<path[^>]*transform/g)).toHaveLength(4);
  });
});

describe('a picture', () => {
  it('is one file with a title, its colours and all panels, in rows', () => {
    const axes = { x: { label: 'x' }, y: { label: 'y' } };
    const panels = ['a', 'b', 'c'].map((title) => ({
      title: `${title} <1`,
      sentence: '',
      drawing: lineChart(document, title, [series(title)], axes),
    }));
    const size = (picture: string) =>
      picture
        .match(/^<svg [^>]*width="(\d+)" height="(\d+)"/)!
        .slice(1)
        .map(Number);
    const [two, three] = [2, 3].map((columns) => pictureOf('What it shows', panels, columns));
    for (const picture of [two, three]) {
      expect(picture).toContain('<title>What it shows</title>');
      expect(picture.match(/ &lt;1<\/text>/g)).toHaveLength(3);
      expect(picture.match(/<svg /g)).toHaveLength(4);
      expect(picture).toContain('--aligned: #');
    }
    expect(size(three)[0]).toBeGreaterThan(size(two)[0]);
    expect(size(three)[1]).toBeLessThan(size(two)[1]);
  });
});
