import { html, svg, type TemplateResult } from 'lit-html';
import type { SafetyCurve } from '../../src/dual/path.ts';
import { placeOn } from '../shared/place.ts';
import { percent } from './words.ts';

const WIDTH = 320;
const HEIGHT = 190;
const LEFT = 40;
const RIGHT = 10;
const TOP = 22;
const BOTTOM = 36;

/** Help against safety, with the place that was chosen. */
export function tradeOffChart(curve: SafetyCurve, index: number): TemplateResult {
  const places = curve.points.map((_, i) => placeOn(curve, i));
  const low = (values: readonly number[]) => Math.min(0, ...values);
  const [leftmost, lowest] = [low(places.map(({ safety }) => safety)), low(places.map(({ help }) => help))];
  const x = (safety: number) => LEFT + ((safety - leftmost) / (1 - leftmost)) * (WIDTH - LEFT - RIGHT);
  const y = (help: number) => TOP + ((1 - help) / (1 - lowest)) * (HEIGHT - TOP - BOTTOM);
  const line = places.map(({ help, safety }) => `${x(safety).toFixed(1)},${y(help).toFixed(1)}`).join(' ');
  const { help, safety } = places[index];
  const [px, py] = [x(safety), y(help)];
  return html`
    <svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
      aria-label="Help against safety: here ${percent(help)} of the help and ${percent(safety)} of the safety that could be had">
      ${[0, 0.5, 1].map(
        (at) => svg`
          <line class="grid" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(at)} y2=${y(at)} />
          <text class="tick" x=${LEFT - 6} y=${y(at) + 4} text-anchor="end">${percent(at)}</text>
          <line class="grid" y1=${TOP} y2=${HEIGHT - BOTTOM} x1=${x(at)} x2=${x(at)} />
          <text class="tick" x=${x(at)} y=${HEIGHT - BOTTOM + 15} text-anchor=${at === 1 ? 'end' : 'middle'}>${percent(at)}</text>`,
      )}
      <text class="axis" x=${WIDTH - RIGHT} y=${HEIGHT - 5} text-anchor="end">safety</text>
      <text class="axis" x="0" y="11">help</text>
      <circle class="original" cx=${x(0)} cy=${y(0)} r="4" />
      <text class="tick" x=${x(0) + 8} y=${y(0) - 6}>original</text>
      <polyline class="curve" points=${line} />
      <line class="drop" x1=${px} x2=${px} y1=${py} y2=${HEIGHT - BOTTOM} />
      <line class="drop" x1=${LEFT} x2=${px} y1=${py} y2=${py} />
      <circle class="place" cx=${px} cy=${py} r="7" />
    </svg>
  `;
}
