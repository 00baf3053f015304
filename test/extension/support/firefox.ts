/** The built extension in a real Firefox. */
import { join } from 'node:path';
import { type BrowserContext, firefox, type Page } from 'playwright-core';
import { firefoxPath } from '../../hosts/support/browser.ts';
import type { OpenBrowser, Profile } from './extension.ts';

/** Firefox draws an address for an extension; this one is known beforehand. */
const HOST = '5d8d5c4e-0000-4000-8000-00000000d0a1';

/** How often the panel is opened until it can be driven, and how long each may take, in ms. */
const TRIES = 10;
const PATIENCE = 5000;

/** Playwright has no word for installing an extension; its connection to Firefox has. */
interface Internals {
  readonly _connection: {
    toImpl(context: BrowserContext): {
      readonly _browser: {
        readonly _browserSession: { send(method: string, params: object): Promise<unknown> };
      };
    };
  };
}

export const downloadsOf = (profile: Profile) => join(profile.folder, 'downloads');

/** Firefox with the extension, installed for as long as it runs. */
export async function openFirefox(profile: Profile): Promise<OpenBrowser> {
  const { folder, extension } = profile;
  const { gecko } = extension.manifest.browser_specific_settings as { gecko: { id: string } };
  const context = await firefox.launchPersistentContext(join(folder, 'profile'), {
    channel: 'moz-firefox',
    executablePath: firefoxPath,
    // Without it no driver may look at an extension's pages.
    args: ['--remote-allow-system-access'],
    downloadsPath: downloadsOf(profile),
    firefoxUserPrefs: {
      'extensions.webextensions.uuids': JSON.stringify({ [gecko.id]: HOST }),
      // An extension from a store stays; this one is installed again each time.
      'extensions.webextensions.keepStorageOnUninstall': true,
      'extensions.webextensions.keepUuidOnUninstall': true,
    },
  });
  const { _browserSession } = (context as unknown as Internals)._connection.toImpl(context)._browser;
  const extensionData = { type: 'path', path: extension.path };
  await _browserSession.send('webExtension.install', { extensionData });
  const origin = `moz-extension://${HOST}`;
  const page = context.pages()[0];
  await page.setViewportSize({ width: 360, height: 760 });
  return {
    context,
    origin,
    async panel() {
      for (let tries = 1; ; tries++) {
        try {
          await openPanel(page, origin);
          return page;
        } catch (error) {
          if (tries === TRIES) throw error;
        }
      }
    },
  };
}

/** Drivers are not always told that an extension's page has come; least of all when it follows one of its own. */
async function openPanel(page: Page, origin: string): Promise<void> {
  const timeout = PATIENCE;
  await page.goto('data:text/html,', { timeout });
  await page.goto(`${origin}/sidepanel.html`, { waitUntil: 'commit', timeout });
  await page.locator('nav').waitFor({ timeout });
}
