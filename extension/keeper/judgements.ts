/** The user's judgements: pairs of answers, each judged by one goal or both. */
import { parseJsonl, toJsonl } from '../../src/data/jsonl.ts';
import { type Prompt, promptKey, responseLike } from '../../src/data/messages.ts';
import { type Preference, parsePreferences } from '../../src/data/preferences.ts';
import type { PageFolder } from '../../src/host/page_storage.ts';
import { CHECKED_FROM, type Choice, type Counts, type Goal } from '../shared/state.ts';

const FILE = 'judgements.jsonl';

/** Two answers to a prompt, and which is the better by each goal that was judged. */
interface Judged {
  /** Of the turn of the chat that they come from. */
  readonly turn?: number;
  readonly prompt: Prompt;
  readonly response_0: string;
  readonly response_1: string;
  readonly better: Readonly<Partial<Record<Goal, 0 | 1>>>;
}

/** What learning takes of one goal's judgements: every fifth of many is kept aside, to check what was learned. */
export interface Split {
  readonly learned: readonly Preference[];
  readonly kept: readonly Preference[];
}

export class Judgements {
  #folder: PageFolder;
  #rows: Judged[];

  private constructor(folder: PageFolder, rows: Judged[]) {
    this.#folder = folder;
    this.#rows = rows;
  }

  static async open(folder: PageFolder): Promise<Judgements> {
    const text = (await folder.exists(FILE)) ? await folder.readText(FILE) : '';
    return new Judgements(
      folder,
      parseJsonl(text, FILE, (row) => row as Judged),
    );
  }

  counts(): Counts {
    const of = (goal: Goal) => this.#rows.filter(({ better }) => better[goal] !== undefined).length;
    return { helpful: of('helpful'), safe: of('safe'), prompts: this.prompts().length };
  }

  /** The different prompts of all judgements. */
  prompts(): Prompt[] {
    return [...new Map(this.#rows.map(({ prompt }) => [promptKey(prompt), prompt])).values()];
  }

  /** Judges a turn's two answers, or takes a judgement back. */
  async judge(turn: number, prompt: Prompt, answers: readonly [string, string], goal: Goal, choice: Choice) {
    const at = this.#rows.findIndex((row) => row.turn === turn);
    const [response_0, response_1] = answers;
    const before = this.#rows[at] ?? { turn, prompt, response_0, response_1, better: {} };
    const { [goal]: _, ...others } = before.better;
    const better = choice === 'same' ? others : { ...others, [goal]: choice };
    const kept = Object.keys(better).length > 0 ? [{ ...before, better }] : [];
    if (at < 0) this.#rows.push(...kept);
    else this.#rows.splice(at, 1, ...kept);
    await this.#save();
  }

  /** Adds the judgements of a file that are not there yet; returns how many, by goal. */
  async import(text: string, name: string, goals: readonly Goal[]): Promise<Record<Goal, number>> {
    // All is read before any is kept.
    const found = goals.map((goal) => ({ goal, rows: parsePreferences(text, name, goal) }));
    const added: Record<Goal, number> = { helpful: 0, safe: 0 };
    for (const { goal, rows } of found) {
      const known = new Set(this.of(goal).map(keyOf));
      for (const { prompt, chosen, rejected } of rows) {
        const key = keyOf({ prompt, chosen, rejected });
        if (known.has(key)) continue;
        known.add(key);
        added[goal]++;
        this.#rows.push({ prompt, response_0: chosen, response_1: rejected, better: { [goal]: 0 } });
      }
    }
    await this.#save();
    return added;
  }

  /** One goal's judgements as preferences. */
  of(goal: Goal): Preference[] {
    return this.#rows.flatMap(({ prompt, response_0, response_1, better }) => {
      if (better[goal] === undefined) return [];
      const [chosen, rejected] = better[goal] === 0 ? [response_0, response_1] : [response_1, response_0];
      return [{ prompt, chosen, rejected }];
    });
  }

  split(goal: Goal): Split {
    const all = this.of(goal);
    if (all.length < CHECKED_FROM) return { learned: all, kept: [] };
    const isKept = (index: number) => index % 5 === 4;
    return {
      learned: all.filter((_, index) => !isKept(index)),
      kept: all.filter((_, index) => isKept(index)),
    };
  }

  async clear(): Promise<void> {
    this.#rows = [];
    await this.#folder.remove(FILE);
  }

  async #save(): Promise<void> {
    if (this.#rows.length === 0) await this.#folder.remove(FILE);
    else await this.#folder.write(FILE, toJsonl(this.#rows));
  }
}

/** TRL rows of preferences. */
export function toRows(preferences: readonly Preference[]): string {
  return toJsonl(
    preferences.map(({ prompt, chosen, rejected }) => ({
      prompt,
      chosen: responseLike(prompt, chosen),
      rejected: responseLike(prompt, rejected),
    })),
  );
}

function keyOf({ prompt, chosen, rejected }: Preference): string {
  return JSON.stringify([prompt, chosen, rejected]);
}
