/** The playground: which of its pages is shown, and what holds for all. */
import { showAlign } from './align/view.ts';
import { keepOffline } from './offline.ts';
import { showScores } from './scores/view.ts';

type Show = (root: HTMLElement) => () => void;

const PAGES: Readonly<Record<string, Show>> = { align: showAlign, scores: showScores };
const root = document.getElementById('content')!;
let leave = () => {};

function open(): void {
  const wanted = location.hash.slice(1);
  const name = wanted in PAGES ? wanted : Object.keys(PAGES)[0];
  leave();
  leave = PAGES[name](root);
  for (const link of document.querySelectorAll<HTMLAnchorElement>('nav a')) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

addEventListener('hashchange', open);
open();
keepOffline();
