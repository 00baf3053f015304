/** How the panel asks the keeper, and the keeper tells all panels what there is to show. */
import { messageOf, UserError } from '../../src/errors.ts';
import type { AnswersBy, Choice, Goal, Settings, State } from './state.ts';

/** A file for the user to save. */
export interface Download {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** How a thing stands, told in plain words. */
export interface Check {
  readonly name: string;
  readonly state: 'good' | 'warning' | 'bad';
  readonly text: string;
}

/** What the keeper does for the panel. */
export interface Requests {
  state(): State;
  /** Checks that this machine can do the work, before it begins. */
  preflight(): Promise<readonly Check[]>;
  ask(question: string): Promise<void>;
  /** A question from those that there are, answered twice. */
  askSample(): Promise<void>;
  answerAgain(turn: number): Promise<void>;
  stopAnswering(): void;
  clearChat(): Promise<void>;
  judge(turn: number, goal: Goal, choice: Choice): Promise<void>;
  answerBy(by: AnswersBy): Promise<void>;
  /** Returns what was added. */
  importJudgements(text: string, name: string, goals: readonly Goal[]): Promise<string>;
  importExamples(): Promise<string>;
  removeJudgements(): Promise<void>;
  learn(): Promise<void>;
  balance(index: number): Promise<void>;
  align(): Promise<void>;
  /** Ends the work where it is; it can go on from its last checkpoint. */
  stop(): Promise<void>;
  goOn(): Promise<void>;
  /** Gives up interrupted work and what it had made. */
  discard(): Promise<void>;
  change(settings: Partial<Settings>): Promise<void>;
  /** A model of the user's own: the files of a Hugging Face folder. */
  importModel(name: string, files: readonly File[]): Promise<void>;
  /** A model of the hub, which the user has allowed to be reached. */
  fetchModel(name: string): Promise<void>;
  useModel(path: string): Promise<void>;
  removeModel(path: string): Promise<void>;
  exportAdapter(): Promise<Download>;
  exportJudgements(): Promise<Download>;
  exportAll(): Promise<Download>;
  deleteAll(): Promise<void>;
}

export type RequestName = keyof Requests;

interface Request {
  readonly to: 'keeper';
  readonly id: string;
  readonly name: RequestName;
  readonly args: readonly unknown[];
}

type Reply = { readonly to: 'panel'; readonly id: string } & (
  | { readonly value: unknown }
  | { readonly error: string }
);

interface Shown {
  readonly to: 'panel';
  readonly state: State;
}

type Message = Request | Reply | Shown;

const NAME = 'dualign';

/** The keeper's end: answers requests; the function returned shows a state on all panels. */
export function serveRequests(requests: Requests): (state: State) => void {
  const channel = new BroadcastChannel(NAME);
  channel.addEventListener('message', async ({ data }: MessageEvent<Message>) => {
    if (data.to !== 'keeper') return;
    const { id, name, args } = data;
    const run = requests[name] as (...given: readonly unknown[]) => unknown;
    let reply: Reply;
    try {
      reply = { to: 'panel', id, value: await run.apply(requests, [...args]) };
    } catch (error) {
      if (!(error instanceof UserError)) console.error(error);
      reply = { to: 'panel', id, error: messageOf(error) };
    }
    channel.postMessage(reply);
  });
  return (state) => channel.postMessage({ to: 'panel', state } satisfies Shown);
}

/** The panel's end. */
export class KeeperClient {
  #channel = new BroadcastChannel(NAME);
  #waiting = new Map<string, { resolve(value: unknown): void; reject(error: Error): void }>();

  constructor(onState: (state: State) => void) {
    this.#channel.addEventListener('message', ({ data }: MessageEvent<Message>) => {
      if (data.to !== 'panel') return;
      if ('state' in data) {
        onState(data.state);
        return;
      }
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ('error' in data) waiting?.reject(new UserError(data.error));
      else waiting?.resolve(data.value);
    });
  }

  request<N extends RequestName>(
    name: N,
    ...args: Parameters<Requests[N]>
  ): Promise<Awaited<ReturnType<Requests[N]>>> {
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#channel.postMessage({ to: 'keeper', id, name, args } satisfies Request);
    });
  }
}
