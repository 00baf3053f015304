/** Takes files that are dropped anywhere on the page, which would otherwise replace it; returns how to stop. */
export function takeDrops(mark: () => Element | null, take: (files: readonly File[]) => void): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  const over = (event: Event) => {
    event.preventDefault();
    mark()?.classList.add('over');
  };
  const leave = () => mark()?.classList.remove('over');
  document.addEventListener('dragover', over, { signal });
  document.addEventListener('dragleave', leave, { signal });
  document.addEventListener(
    'drop',
    (event) => {
      event.preventDefault();
      leave();
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) take(files);
    },
    { signal },
  );
  return () => controller.abort();
}
