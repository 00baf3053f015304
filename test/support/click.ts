import type { Page } from 'playwright-core';

/**
 * Clicks what a selector finds as soon as it is on the page, from within the page: what comes and goes while work is under
 * way may be gone before a test that looks from outside has clicked it. Call it before the work begins; `when` is an
 * expression that has to hold too.
 */
export async function clickOnceThere(page: Page, selector: string, when = 'true'): Promise<void> {
  await page.evaluate(`new Promise((done) => {
    const look = () => {
      const found = document.querySelector(${JSON.stringify(selector)});
      if (!found || !(${when})) return;
      observer.disconnect();
      found.click();
      done();
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    look();
  })`);
}
