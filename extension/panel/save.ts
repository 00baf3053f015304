import type { Download } from '../shared/channel.ts';

/** Has the browser save a file. */
export function save(download: Download | undefined): void {
  if (!download) return;
  const { name, type, bytes } = download;
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
