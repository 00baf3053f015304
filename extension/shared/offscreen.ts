import { browser } from 'wxt/browser';

/**
 * Makes sure of the keeper: the hidden document that owns all work, so that it goes on when the panel is closed and the
 * service worker has ended. Firefox has it as its background page, from the start of the browser to its end.
 */
export async function ensureKeeper(): Promise<void> {
  if (import.meta.env.FIREFOX) return;
  if (await browser.offscreen.hasDocument()) return;
  try {
    await browser.offscreen.createDocument({
      url: 'offscreen.html',
      reasons: ['WORKERS'],
      justification: 'Runs and aligns a language model on this machine in a worker.',
    });
  } catch (error) {
    // Another panel, or the service worker, was faster.
    if (!(await browser.offscreen.hasDocument())) throw error;
  }
}
