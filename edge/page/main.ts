/** The page: a score file in, λ*, verdict and curve out; all computing is the service's. */

import type { GridPoint } from '../../src/dual/grid.ts';
import type { SafetyCurve } from '../../src/dual/path.ts';
import type { DualSolution } from '../../src/dual/solution.ts';
import { CurveChart, type Point } from '../../web/shared/chart.ts';
import { takeDrops } from '../../web/shared/drop.ts';
import { exampleFile } from '../../web/shared/example.ts';
import { shown } from '../../web/shared/numbers.ts';
import { type Scores, scoresOf } from './scores.ts';
import { element, failure, verdict, warnings } from './verdict.ts';

const POINTS = 81;

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const form = byId<HTMLFormElement>('form');
const drop = byId('drop');
const chooser = byId<HTMLInputElement>('file');
const limits = byId('limits');
const axis = byId<HTMLSelectElement>('axis');
const answer = byId('answer');
const solve = byId<HTMLButtonElement>('solve');

let scores: Scores | undefined;
let constraints = 0;

async function take(files: readonly File[]): Promise<void> {
  try {
    const found = await scoresOf(files);
    if (found.constraints !== constraints) limitFields(found.constraints);
    scores = found;
    constraints = found.constraints;
    byId('name').textContent = found.name;
    byId('about').textContent =
      `${found.prompts} prompts, ${found.responses} responses, ` +
      (constraints === 1 ? 'one safety score' : `${constraints} safety scores`);
    solve.disabled = false;
    await ask();
  } catch (error) {
    answer.replaceChildren(failure(error instanceof Error ? error.message : String(error)));
  }
}

function limitFields(count: number): void {
  const each = Array.from({ length: count }, (_, j) => j + 1);
  limits.replaceChildren(...each.map((j) => limitField(count === 1 ? 'Safety' : `Safety ${j}`)));
  axis.replaceChildren(...each.map((j) => new Option(`Safety ${j}`, String(j))));
  byId('axis-field').hidden = count === 1;
}

function limitField(name: string): HTMLElement {
  const value = document.createElement('input');
  Object.assign(value, { type: 'number', step: 'any', required: true, value: '0.5' });
  const kind = document.createElement('select');
  kind.append(new Option('over reference', 'margin'), new Option('in all', 'threshold'));
  kind.setAttribute('aria-label', `${name}: what the number means`);
  return element('label', '', `${name} at least`, element('div', 'pair', value, kind));
}

function queryOf(): URLSearchParams {
  const query = new URLSearchParams({ beta: byId<HTMLInputElement>('beta').value });
  for (const pair of limits.querySelectorAll('.pair')) {
    query.append(pair.querySelector('select')!.value, pair.querySelector('input')!.value);
  }
  return query;
}

async function post<T>(operation: string, query: URLSearchParams): Promise<T> {
  const token = byId<HTMLInputElement>('token').value;
  const response = await fetch(`/v1/${operation}?${query}`, {
    method: 'POST',
    body: scores!.body,
    headers: {
      'content-type': 'application/octet-stream',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
  });
  if (response.status === 401) byId('token-field').hidden = false;
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail);
  return body;
}

let latest = 0;

async function ask(): Promise<void> {
  if (!scores || !form.reportValidity()) return;
  const turn = ++latest;
  answer.classList.add('busy');
  try {
    const query = queryOf();
    const curveQuery = new URLSearchParams(query);
    curveQuery.set('points', String(POINTS));
    if (constraints > 1) curveQuery.set('axis', axis.value);
    const solution = await post<DualSolution>('dual', query);
    const curve = await post<SafetyCurve | { points: GridPoint[] }>('curve', curveQuery);
    if (turn === latest) show(solution, curve);
  } catch (error) {
    if (turn === latest)
      answer.replaceChildren(failure(error instanceof Error ? error.message : String(error)));
  } finally {
    if (turn === latest) answer.classList.remove('busy');
  }
}

function show(solution: DualSolution, curve: SafetyCurve | { points: GridPoint[] }): void {
  const j = constraints > 1 ? Number(axis.value) - 1 : 0;
  const points =
    'free' in curve ? curve.points.map(pointOf) : curve.points.flatMap((point) => gridPointOf(point, j));
  const parts = [verdict(solution), ...warnings(solution.warnings)];
  if (points.length > 1) {
    const reach = `Up to ${shown(solution.reachable[j])} is within reach; the reference has ${shown(solution.reference.safety[j])}.`;
    const figure = element(
      'figure',
      '',
      element('h2', '', 'The trade-off'),
      element(
        'figcaption',
        '',
        `What each threshold costs and brings${constraints > 1 ? `, safety ${j + 1}` : ''}. ${reach}`,
      ),
      element('p', 'reading', 'Point at the curve, or touch it, to read it.'),
    );
    new CurveChart(figure).show(points, solution.thresholds[j]);
    parts.push(figure);
  } else {
    parts.push(
      element('p', 'empty', 'No threshold between these limits has a policy: there is no curve to draw.'),
    );
  }
  answer.replaceChildren(...parts);
}

function pointOf({ safety, lambda, reward, kl, essMedian }: SafetyCurve['points'][number]): Point {
  return { threshold: safety, lambda, reward, kl, ess: essMedian };
}

function gridPointOf(point: GridPoint, j: number): Point[] {
  if (point.status !== 'optimal') return [];
  const { thresholds, lambda, reward, kl, essMedian } = point;
  return [{ threshold: thresholds[j], lambda: lambda[j], reward, kl, ess: essMedian }];
}

chooser.addEventListener('change', () => {
  if (chooser.files?.length) take([...chooser.files]);
});
byId('example').addEventListener('click', () => take([exampleFile()]));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  ask();
});
takeDrops(() => drop, take);
