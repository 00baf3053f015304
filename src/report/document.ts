import { parseHTML } from 'linkedom';

/** A document of no browser, for drawing charts where there is none; apart from the rest so that a browser's bundle can leave it out. */
export function blankDocument(): Document {
  return parseHTML('<!doctype html><html><body></body></html>').document;
}
