/** A function that has `update` called in the next frame, once however often it is called before; a hidden page waits. */
export function inFrames(update: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
    });
  };
}
