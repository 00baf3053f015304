import { browser } from 'wxt/browser';
import { defineBackground } from 'wxt/utils/define-background';
import { Store } from '../keeper/store.ts';
import { ensureKeeper } from '../shared/offscreen.ts';

/** Chromium's service worker. Firefox has the keeper's document as its background page. */
export default defineBackground({
  exclude: ['firefox'],
  main() {
    void browser.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });
    // Whenever the browser starts, work that its end interrupted goes on.
    browser.runtime.onStartup.addListener(goOn);
    browser.runtime.onInstalled.addListener(goOn);
  },
});

async function goOn(): Promise<void> {
  if (await Store.hasUnfinishedWork()) await ensureKeeper();
}
