import { browser } from 'wxt/browser';
import { Keeper } from '../../keeper/keeper.ts';
import { serveRequests } from '../../shared/channel.ts';

/** What opens the panel in Firefox; WXT's types are Chromium's. */
interface FirefoxActions {
  readonly browserAction: { readonly onClicked: { addListener(listener: () => void): void } };
  readonly sidebarAction: { toggle(): Promise<void> };
}

if (import.meta.env.FIREFOX) {
  const { browserAction, sidebarAction } = browser as unknown as FirefoxActions;
  browserAction.onClicked.addListener(() => void sidebarAction.toggle());
  // With the permission for unlimited storage it is granted unasked.
  void navigator.storage.persist();
}

const keeper = await Keeper.open();
keeper.start(serveRequests(keeper));
