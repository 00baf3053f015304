import type { Metrics } from '../../src/report/data.ts';

/** Milliseconds between two drawings of curves that grow. */
const INTERVAL = 500;

/** Draws a training's curves, the report's, into an element as lines of metrics come. */
export class TrainingCharts {
  #drawn: { readonly element?: Element; readonly metrics?: readonly Metrics[] } = {};
  #wanted: { readonly element: Element; readonly metrics: readonly Metrics[] } | undefined;
  #last = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  draw(element: Element, metrics: readonly Metrics[]): void {
    this.#wanted = { element, metrics };
    const drawn = element === this.#drawn.element && metrics === this.#drawn.metrics;
    if (drawn || this.#timer !== undefined) return;
    const wait = Math.max(0, this.#last + INTERVAL - performance.now());
    this.#timer = setTimeout(async () => {
      // Apart, because charts come with a library that the page does without until there is something to draw.
      const { trainingFigures } = await import('../../src/report/sections/training.ts');
      this.#timer = undefined;
      this.#last = performance.now();
      const { element, metrics } = this.#wanted!;
      this.#drawn = { element, metrics };
      element.innerHTML = trainingFigures(metrics, 1, document)
        .map(({ markup }) => markup)
        .join('');
    }, wait);
  }
}
