import type { Manifest, Run, StageRecord } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { SCORES } from './artefacts.ts';
import { collect } from './collect.ts';
import type { ModelContext } from './context.ts';
import { dpoAlone } from './dpo.ts';
import { solveDual } from './dual.ts';
import { evaluate } from './evaluate.ts';
import { label } from './label.ts';
import { trainAlone } from './on_policy.ts';
import { prealign } from './prealign.ts';
import { rewardAlone } from './reward.ts';
import { score } from './score.ts';
import { sftAlone } from './sft.ts';
import { train } from './train.ts';

/** One stage of a run, made again. */
export interface StageCheck {
  readonly stage: string;
  /** `changed`: its inputs or settings are not those it was made from. */
  readonly outcome: 'same' | 'differs' | 'changed';
  /** Outputs whose sha-256 differs, or settings that changed. */
  readonly names: readonly string[];
}

export interface Verification {
  /** Whether every stage gave the same bits. */
  readonly same: boolean;
  /** In the order they ran; the last one is the first that is not the same. */
  readonly stages: readonly StageCheck[];
  readonly original: {
    readonly dualign: string;
    readonly host: string;
    readonly device?: Manifest['device'];
  };
  readonly repeated: {
    readonly dualign: string;
    readonly host: string;
    readonly device?: Manifest['device'];
  };
}

/** Each command's stages and its work. The report is left out: it names the host that it was made on. */
const STEPS: readonly { stages: readonly string[]; work: (context: ModelContext) => Promise<unknown> }[] = [
  { stages: ['collect'], work: collect },
  { stages: ['pre-align helpful: train'], work: prealign },
  { stages: ['score'], work: score },
  { stages: ['dual'], work: solveDual },
  { stages: ['label'], work: label },
  { stages: ['reference log-probs', 'train'], work: train },
  { stages: ['grpo'], work: (context) => trainAlone(context, 'grpo') },
  { stages: ['rloo'], work: (context) => trainAlone(context, 'rloo') },
  { stages: ['sft'], work: sftAlone },
  { stages: ['dpo: reference log-probs', 'dpo: train'], work: dpoAlone },
  { stages: ['reward'], work: rewardAlone },
  { stages: ['evaluate reference', 'evaluate aligned', 'evaluate'], work: evaluate },
];

/** Ends a repetition at the first stage that is not the same. */
class Difference extends Error {}

/**
 * Makes the finished stages of a run again, in the empty run of `context`, and compares the sha-256 of what they give
 * with the manifest. Files that the user gave the run are taken from it as they are.
 */
export async function verify(original: Run, context: ModelContext): Promise<Verification> {
  const recorded = original.manifest.stages;
  const finished = (stage: string) => recorded[stage] !== undefined && recorded[stage].status !== 'running';
  if (!Object.keys(recorded).some(finished)) {
    throw new UserError(`${original.folder.name}: expected a run with finished stages, found none`);
  }
  await copyGiven(original, context.run);
  context.run.follow(original.manifest);
  const checks: StageCheck[] = [];
  context.run.watch((stage, record) => {
    const before = recorded[stage];
    if (before === undefined || before.status === 'running') return;
    const check = compareStage(stage, before, record);
    checks.push(check);
    if (check.outcome !== 'same') throw new Difference(stage);
  });
  try {
    for (const { stages, work } of STEPS) if (stages.some(finished)) await work(context);
  } catch (error) {
    if (!(error instanceof Difference)) throw error;
  }
  const identity = ({ dualign, host, device }: Manifest) => ({
    dualign,
    host,
    ...(device ? { device } : {}),
  });
  return {
    same: checks.every(({ outcome }) => outcome === 'same'),
    stages: checks,
    original: identity(original.manifest),
    repeated: identity(context.run.manifest),
  };
}

async function copyGiven(from: Run, to: Run): Promise<void> {
  // Scores of the user's own belong to no stage; the dual's settings hold their hash.
  if ((await from.folder.exists(SCORES)) && (await from.isGiven('score', SCORES))) {
    await to.folder.write(SCORES, await from.folder.read(SCORES));
  }
  for (const [stage, { status, outputs }] of Object.entries(from.manifest.stages)) {
    if (status !== 'given') continue;
    for (const [file, hash] of Object.entries(outputs)) {
      const bytes = await from.folder.read(file);
      if ((await from.hash(file)) !== hash) {
        throw new UserError(
          `${from.folder.name}/${file}: expected the file that the ${stage} stage was given, found another; put it back to verify the run`,
        );
      }
      await to.folder.write(file, bytes);
    }
  }
}

function compareStage(stage: string, before: StageRecord, after: StageRecord): StageCheck {
  const changed = differences(before.settings, after.settings);
  if (before.status !== 'given' && changed.length > 0) return { stage, outcome: 'changed', names: changed };
  const names = differences(before.outputs, after.outputs);
  return { stage, outcome: names.length > 0 ? 'differs' : 'same', names };
}

/** Names whose values differ, in either record. */
function differences(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]),
  );
}
