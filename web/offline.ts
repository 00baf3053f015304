/** Has a service worker keep the page for use without a network. */
export function keepOffline(): void {
  // Absent on addresses that browsers do not trust; the page works without it.
  navigator.serviceWorker?.register('service_worker.js', { type: 'module' }).catch(() => {});
}
