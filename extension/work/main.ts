/** The worker that holds the model: answers, learns and aligns, one job at a time. */

import { hazard } from '../../models/demo/truth.ts';
import { collect } from '../../src/align/collect.ts';
import { compareAlignments } from '../../src/align/comparison.ts';
import { parseConfig } from '../../src/align/config.ts';
import type { Context } from '../../src/align/context.ts';
import { infeasibleText, solveDual } from '../../src/align/dual.ts';
import { evaluate } from '../../src/align/evaluate.ts';
import { label } from '../../src/align/label.ts';
import { planRun } from '../../src/align/memory.ts';
import { prealign } from '../../src/align/prealign.ts';
import { report } from '../../src/align/report.ts';
import { score } from '../../src/align/score.ts';
import { train } from '../../src/align/train.ts';
import { parsePreferences } from '../../src/data/preferences.ts';
import { Run } from '../../src/data/run.ts';
import { UserError } from '../../src/errors.ts';
import { fetchPageModel } from '../../src/host/page/hub.ts';
import { importModel } from '../../src/host/page/import.ts';
import { PageSources } from '../../src/host/page/sources.ts';
import { errorInWords, inWords } from '../../src/host/page/wording.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import { runtimeName } from '../../src/host/runtime.ts';
import { defaultThreads, threadStarter, useThreadWorker } from '../../src/host/threads.ts';
import type { Comparison, Evaluation } from '../../src/report/data.ts';
import { WORDS } from '../shared/fields.ts';
import { type Agreement, GOALS, type Goal, type Model, type Settings } from '../shared/state.ts';
import { agreementWith } from './agreement.ts';
import { answer } from './answer.ts';
import { preflight } from './preflight.ts';
import {
  ALIGNED,
  type AlignJob,
  type FetchJob,
  type FromWorker,
  HAZARD,
  INPUTS,
  type Job,
  KEPT_ASIDE,
  type LearnJob,
  type Results,
  RUN,
  type Told,
  type ToWorker,
} from './protocol.ts';

useThreadWorker(() => new Worker(new URL('./thread.ts', import.meta.url), { type: 'module' }));

const inputs = new PageFolder(INPUTS);
const threads = threadStarter() ? defaultThreads() : 1;
let opened: { readonly device: Settings['device']; readonly sources: PageSources } | undefined;
let abort = new AbortController();

function sourcesOn(device: Settings['device']): PageSources {
  if (opened?.device !== device) {
    opened?.sources.close();
    opened = { device, sources: new PageSources(device, { threads, functions: { [HAZARD]: hazard } }) };
  }
  return opened.sources;
}

function tell(told: Told): void {
  postMessage({ told } satisfies FromWorker);
}

async function contextOf({
  settings,
  config: options,
}: Pick<LearnJob, 'settings' | 'config'>): Promise<Context> {
  const config = parseConfig(options, 'settings');
  const run = await Run.open(new PageFolder(RUN), runtimeName());
  // What another balance or more judgements change is made again; the rest is kept.
  run.configure(config, true);
  return {
    run,
    config,
    sources: sourcesOn(settings.device),
    progress: {
      stage: (name, _, note) => tell({ kind: 'stage', name, note }),
      advance: (done, total, unit, note) => tell({ kind: 'advance', done, total, unit, note }),
      say: (what, mend = []) => tell({ kind: 'say', text: inWords({ what, mend }, WORDS) }),
    },
  };
}

/** PeCAN up to the scores: from there on there is a balance to choose. */
async function learn(job: LearnJob): Promise<Results['learn']> {
  const context = await contextOf(job);
  await planRun(context);
  await prealign(context);
  const policy = await context.sources.policy(job.model.path).load();
  const agreement: Partial<Record<Goal, Agreement>> = {};
  for (const [set, goal] of GOALS.entries()) {
    const file = KEPT_ASIDE[goal];
    if (!(await inputs.exists(file))) continue;
    const kept = parsePreferences(await inputs.readText(file), file, goal);
    agreement[goal] = await agreementWith(context, policy, set, kept);
  }
  await collect(context);
  await score(context);
  return agreement;
}

/** PeCAN from the scores on, at the balance chosen. */
async function align(job: AlignJob): Promise<Results['align']> {
  const context = await contextOf(job);
  const dual = await solveDual(context);
  if (dual.status === 'infeasible') throw new UserError(infeasibleText(dual), 3);
  await label(context);
  await train(context);
  await evaluate(context);
  const comparison = await compareAlignments(context);
  await report(context);
  const { folder } = context.run;
  const aligned = new PageFolder(ALIGNED);
  for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
    await aligned.write(`adapter/${file}`, await folder.read(`adapter/${file}`));
  }
  await aligned.write('report.html', await folder.read('report.html'));
  const evaluation = JSON.parse(await folder.readText('evaluation.json')) as Evaluation;
  return { lambda: dual.lambda[0], evaluation, ...(comparison ? { hazard: sharesOf(comparison) } : {}) };
}

/** Of the only measure. */
function sharesOf({ alignments }: Comparison) {
  const of = (policy: string) => alignments.find(({ name }) => name === policy)!.measured[0].mean;
  return { before: of('reference'), after: of('aligned') };
}

async function policyFor(model: Model, device: Settings['device'], aligned: boolean) {
  const from = sourcesOn(device);
  const policy = await from.policy(model.path).load();
  if (aligned) await from.useAdapter(policy, `${ALIGNED}/adapter`);
  return policy;
}

/** Puts a model into the storage, and takes it out again if it is none that can be run here. */
async function fetchModel({ name, files, settings }: FetchJob): Promise<Model> {
  const advance = (done: number, total: number) => tell({ kind: 'advance', done, total, unit: 'bytes' });
  const progress = {
    download: (_: string, done: number, total: number) => advance(done, total),
    say: () => {},
  };
  const path = files ? await importModel(name, files, advance) : await fetchPageModel(name, progress);
  try {
    await sourcesOn(settings.device).outline(path);
  } catch (error) {
    const cut = path.lastIndexOf('/');
    await new PageFolder(path.slice(0, cut)).remove(path.slice(cut + 1));
    throw error;
  }
  return { path, name };
}

async function doJob(job: Job): Promise<Results[keyof Results]> {
  switch (job.kind) {
    case 'answer': {
      const policy = await policyFor(job.model, job.settings.device, job.by === 'aligned');
      return await answer(policy, job, tell, abort.signal);
    }
    case 'learn':
      return await learn(job);
    case 'align':
      return await align(job);
    case 'preflight': {
      const from = sourcesOn(job.settings.device);
      return await preflight(await from.open(), threads, from, job);
    }
    case 'fetch':
      return await fetchModel(job);
  }
}

addEventListener('message', async ({ data }: MessageEvent<ToWorker>) => {
  if ('stop' in data) {
    abort.abort();
    return;
  }
  abort = new AbortController();
  try {
    postMessage({ result: await doJob(data.job) } satisfies FromWorker);
  } catch (error) {
    if (!(error instanceof UserError)) console.error(error);
    postMessage({ error: errorInWords(error, WORDS) } satisfies FromWorker);
  }
});
