import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import type { ReportData } from '../../src/report/data.ts';
import { escapeHtml, html } from '../../src/report/html.ts';
import { renderReport, renderSummary } from '../../src/report/report.ts';
import { example } from './example.ts';

const ATTACKS = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</style><script>alert(1)</script>',
  '</svg></figure></section><iframe src="https://example.com"></iframe>',
  '<!--',
  '&lt;b&gt;',
  'javascript:alert(1)',
  ']]><x>',
];

/** `data` with `text` wherever a user's text is shown. */
function filled(data: ReportData, text: string): ReportData {
  const side = (old: ReportData['samples'][number]['reference']) => ({ ...old, response: text });
  return {
    ...data,
    title: text,
    rewardName: text,
    settings: data.settings.map(() => [text, text] as const),
    constraints: data.constraints.map((constraint) => ({ ...constraint, name: text })),
    dual: { ...data.dual, warnings: [text] },
    samples: data.samples.map(({ reference, aligned }) => ({
      prompt: text,
      reference: side(reference),
      aligned: side(aligned),
    })),
  };
}

/** Names and attribute names of all elements in order: what a page is made of apart from its texts. */
function skeleton(markup: string): string[] {
  return Array.from(parseHTML(markup).document.querySelectorAll('*'), ({ localName, attributes }) =>
    [localName, ...Array.from(attributes, ({ name }) => name)].join(' '),
  );
}

describe('text of the user', () => {
  const data = example({ m: 3 });
  const harmless = skeleton(renderReport(filled(data, 'harmless')));

  it.each(ATTACKS)('%s stays text', (attack) => {
    const markup = renderReport(filled(data, attack));
    expect(skeleton(markup)).toEqual(harmless);
    expect(parseHTML(markup).document.querySelector('h1')!.textContent).toBe(attack);
  });

  it('is escaped by the template tag unless it is markup already', () => {
    expect(
      html`<p title="${'"'}">${'<i>'}${[html`<b>${'&'}</b>`, '>']}${undefined}${false}${0}</p>`.markup,
    ).toBe('<p title="&quot;">&lt;i&gt;<b>&amp;</b>&gt;0</p>');
  });

  it('loses characters that no page may hold, and keeps all others', () => {
    expect(escapeHtml('a\u0000b\u001b[31m\ud800c\r\nd')).toBe('a\ufffdb\ufffd[31m\ufffdc\nd');
    expect(escapeHtml('日本語 👩‍🚀 עברית')).toBe('日本語 👩‍🚀 עברית');
  });

  it('cannot steer a terminal', () => {
    const summary = renderSummary(filled(data, '\u001b]0;title\u0007\u001b[2J\rname\u202e'));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(summary).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
  });
});

describe('the page on its own', () => {
  const markup = renderReport(example({ m: 3 })) + renderReport(example());

  it('refers to nothing outside itself', () => {
    expect(markup).not.toMatch(
      /https?:|\/\/[a-z]|url\(|@import|\ssrc=|\ssrcset=|<script|<iframe|<object|<embed|<form/i,
    );
    expect(markup.match(/\shref="[^"]*"/g)).toEqual([' href="data:,"', ' href="data:,"']);
    expect(markup).not.toMatch(/\son[a-z]+=/i);
  });

  it('forbids everything but its own style', () => {
    const policy = parseHTML(markup).document.querySelector('meta[http-equiv]')!.getAttribute('content')!;
    expect(policy).toMatch(/^default-src 'none'/);
    expect(policy).not.toMatch(/script-src|https?:|\*/);
  });
});
