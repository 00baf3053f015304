import { Html, html } from './html.ts';
import { STYLE } from './style.ts';

/** Nothing may be fetched or run, even if some text found a way around the escaping. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

export interface Page {
  /** In the browser's tab. */
  readonly title: string;
  /** What kind of page it is, above its heading. */
  readonly kind: string;
  readonly heading: string;
  /** One sentence below the heading. */
  readonly lede: string;
  readonly sections: readonly Html[];
}

/** A page as one HTML file that needs nothing else: no script, no font, no network. */
export function pageOf({ title, kind, heading, lede, sections }: Page): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="dualign">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<p class="kind">${kind}</p>
<h1 dir="auto">${heading}</h1>
<p class="lede">${lede}</p>
</header>
<main>
${sections}</main>
</body>
</html>
`;
  return page.markup;
}
