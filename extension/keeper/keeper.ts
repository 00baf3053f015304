import { messageOf, UserError } from '../../src/errors.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import type { Check, Download, Requests } from '../shared/channel.ts';
import {
  type Answer,
  type AnswersBy,
  type Choice,
  DEMO,
  GOALS,
  type Goal,
  type Model,
  type Settings,
  type State,
  type Turn,
  type Work,
} from '../shared/state.ts';
import { ALIGNED, HOME, RUN, type Told } from '../work/protocol.ts';
import { answerJob, sampleQuestion } from './conversation.ts';
import { adapterDownload, allDownload, judgementsDownload } from './downloads.ts';
import { alignOptions, demoPrompts, demoText, prepareInputs } from './inputs.ts';
import { Judgements } from './judgements.ts';
import { planBalance } from './plan.ts';
import { Store } from './store.ts';
import { outcomeOf, progressOf } from './work.ts';
import { JobWorker, Stopped } from './worker.ts';

/** Owns the state and the work. Lives in the offscreen document, and answers the panels. */
export class Keeper implements Requests {
  #store: Store;
  #state: State;
  #judgements: Judgements;
  #worker = new JobWorker();
  /** What is under way, until it has put down how it ended. */
  #activity: Promise<void> = Promise.resolve();
  /** Told that work is to stop, which may be before the worker has it. */
  #stopping = new AbortController();
  #show: (state: State) => void = () => {};

  private constructor(store: Store, state: State, judgements: Judgements) {
    this.#store = store;
    this.#state = state;
    this.#judgements = judgements;
  }

  static async open(): Promise<Keeper> {
    const store = new Store();
    return new Keeper(store, await store.read(), await Judgements.open(store.folder));
  }

  /** Begins to show the state, and goes on with work that the end of the browser interrupted. */
  start(show: (state: State) => void): void {
    this.#show = show;
    show(this.#state);
    if (this.#state.work?.status === 'running') this.#begin(this.#state.work);
  }

  state(): State {
    return this.#state;
  }

  async preflight(): Promise<readonly Check[]> {
    this.#requireRest();
    const { model, settings } = this.#state;
    return await this.#worker.run({ kind: 'preflight', model, settings });
  }

  async ask(question: string): Promise<void> {
    if (question.trim() === '') throw new UserError('Write a question first.');
    await this.#askNew(question.trim(), 1);
  }

  async askSample(): Promise<void> {
    const prompts = [...this.#judgements.prompts(), ...(this.#isDemo ? await demoPrompts() : [])];
    await this.#askNew(sampleQuestion(this.#state, prompts), 2);
  }

  async answerAgain(id: number): Promise<void> {
    const turn = this.#turn(id);
    this.#requireRest();
    if (turn.answers.length > 1) throw new UserError('There are two answers already.');
    await this.#answerWith(id, [turn.answers.length]);
  }

  stopAnswering(): void {
    if (this.#state.answering) this.#worker.finish();
  }

  async clearChat(): Promise<void> {
    this.#requireRest();
    await this.#keep({ turns: [] });
  }

  async judge(id: number, goal: Goal, choice: Choice): Promise<void> {
    const { prompt, answers, judged } = this.#turn(id);
    if (answers.length < 2 || !prompt) throw new UserError('There are not two answers to judge.');
    const texts = [answers[0].text, answers[1].text] as const;
    await this.#judgements.judge(id, prompt, texts, goal, choice);
    this.#changeTurn(id, { judged: { ...judged, [goal]: choice } });
    await this.#keep({ counts: this.#judgements.counts() });
  }

  async answerBy(answersBy: AnswersBy): Promise<void> {
    if (answersBy === 'aligned' && !this.#state.aligned)
      throw new UserError('There is no aligned model yet.');
    await this.#keep({ answersBy });
  }

  async importJudgements(text: string, name: string, goals: readonly Goal[]): Promise<string> {
    const added = await this.#judgements.import(text, name, goals);
    await this.#keep({ counts: this.#judgements.counts() });
    const parts = goals.map((goal) => `${added[goal]} by ${goal === 'helpful' ? 'what helps' : 'safety'}`);
    return `Added ${parts.join(' and ')} from ${name}.`;
  }

  async importExamples(): Promise<string> {
    for (const goal of GOALS) {
      await this.#judgements.import(await demoText(`${goal}.jsonl`), `${goal}.jsonl`, [goal]);
    }
    await this.#keep({ counts: this.#judgements.counts() });
    return 'Added the examples: judgements of household answers, by what helps and by safety.';
  }

  async removeJudgements(): Promise<void> {
    await this.#judgements.clear();
    const turns = this.#state.turns.map((turn) => ({ ...turn, judged: {} }));
    await this.#keep({ counts: this.#judgements.counts(), turns });
  }

  async learn(): Promise<void> {
    this.#requireRest();
    const { model, settings } = this.#state;
    const config = await prepareInputs(this.#judgements, model, settings);
    await this.#keep({ learned: undefined, balance: undefined });
    const counts = this.#judgements.counts();
    this.#begin({ goal: 'learn', status: 'running', config, counts, said: [] });
  }

  async balance(index: number): Promise<void> {
    const { learned } = this.#state;
    if (!learned) throw new UserError('Learn from your judgements first.');
    await this.#keep({ balance: await planBalance(learned.curve, index) });
  }

  async align(): Promise<void> {
    this.#requireRest();
    const { learned, balance, settings } = this.#state;
    if (!learned || !balance) throw new UserError('Learn from your judgements and choose a balance first.');
    const margin = learned.curve.points[balance.index].safety - learned.curve.reference.safety;
    const config = alignOptions(learned.config, margin, settings);
    this.#begin({ goal: 'align', status: 'running', config, counts: learned.counts, said: [] });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#worker.end();
    await this.#activity;
  }

  async goOn(): Promise<void> {
    const { work } = this.#state;
    if (!work || work.status === 'running') throw new UserError('There is no interrupted work.');
    this.#begin({ ...work, status: 'running', error: undefined });
  }

  async discard(): Promise<void> {
    const { work } = this.#state;
    if (!work) return;
    await this.stop();
    if (work.goal === 'learn') await this.#store.folder.remove(RUN.slice(HOME.length + 1));
    await this.#keep({ work: undefined });
  }

  async change(settings: Partial<Settings>): Promise<void> {
    this.#requireRest();
    await this.#keep({ settings: { ...this.#state.settings, ...settings } });
  }

  importModel(name: string, files: readonly File[]): Promise<void> {
    return this.#fetch(name, files);
  }

  fetchModel(name: string): Promise<void> {
    return this.#fetch(name);
  }

  async useModel(path: string): Promise<void> {
    this.#requireRest();
    const model = this.#state.models.find((each) => each.path === path);
    if (!model) throw new UserError('There is no such model.');
    this.#worker.end();
    // What was made of another model is of no use to this one.
    for (const folder of [RUN, ALIGNED]) await this.#store.folder.remove(folder.slice(HOME.length + 1));
    await this.#keep({
      model,
      turns: [],
      learned: undefined,
      balance: undefined,
      aligned: undefined,
      work: undefined,
      answersBy: 'original',
    });
  }

  async removeModel(path: string): Promise<void> {
    if (this.#state.model.path === path) await this.useModel(DEMO.path);
    const cut = path.lastIndexOf('/');
    await new PageFolder(path.slice(0, cut)).remove(path.slice(cut + 1));
    await this.#keep({ models: this.#state.models.filter((each) => each.path !== path) });
  }

  exportAdapter(): Promise<Download> {
    return adapterDownload();
  }

  async exportJudgements(): Promise<Download> {
    return judgementsDownload(this.#judgements);
  }

  exportAll(): Promise<Download> {
    return allDownload();
  }

  async deleteAll(): Promise<void> {
    await this.stop();
    this.#state = await this.#store.clear();
    this.#judgements = await Judgements.open(this.#store.folder);
    this.#show(this.#state);
  }

  get #isDemo(): boolean {
    return this.#state.model.path === DEMO.path;
  }

  /** Changes what is shown. */
  #change(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    this.#show(this.#state);
  }

  /** Changes what is shown and what is kept on disk. */
  async #keep(change: Partial<State>): Promise<void> {
    this.#change(change);
    await this.#store.write(this.#state);
  }

  #requireRest(): void {
    const { answering, fetching, work } = this.#state;
    if (fetching) throw new UserError(`The model ${fetching.name} is on its way; wait for it.`);
    if (answering) throw new UserError('The model is answering; wait, or stop it first.');
    if (work?.status === 'running') throw new UserError('The model is at work; wait, or stop it first.');
  }

  #turn(id: number): Turn {
    const turn = this.#state.turns.find((each) => each.id === id);
    if (!turn) throw new UserError('That question is no longer there.');
    return turn;
  }

  #changeTurn(id: number, change: Partial<Turn>): void {
    this.#change({
      turns: this.#state.turns.map((turn) => (turn.id === id ? { ...turn, ...change } : turn)),
    });
  }

  async #fetch(name: string, files?: readonly File[]): Promise<void> {
    this.#requireRest();
    const { settings } = this.#state;
    this.#change({ fetching: { name, done: 0, total: 0 } });
    let model: Model;
    try {
      model = await this.#worker.run({ kind: 'fetch', name, files, settings }, (told) => {
        if (told.kind === 'advance') this.#change({ fetching: { name, done: told.done, total: told.total } });
      });
    } finally {
      this.#change({ fetching: undefined });
    }
    const others = this.#state.models.filter(({ path }) => path !== model.path);
    await this.#keep({ models: [...others, model] });
    await this.useModel(model.path);
  }

  async #askNew(question: string, answers: number): Promise<void> {
    this.#requireRest();
    const id = Math.max(0, ...this.#state.turns.map((turn) => turn.id)) + 1;
    this.#change({ turns: [...this.#state.turns, { id, question, answers: [], judged: {} }] });
    await this.#answerWith(
      id,
      Array.from({ length: answers }, (_, number) => number),
    );
  }

  #begin(work: Work): void {
    this.#stopping = new AbortController();
    this.#activity = this.#work(work, this.#stopping.signal);
  }

  async #answerWith(id: number, numbers: readonly number[]): Promise<void> {
    this.#activity = this.#answer(id, numbers);
    await this.#activity;
  }

  async #answer(id: number, numbers: readonly number[]): Promise<void> {
    const { answersBy: by } = this.#state;
    const turn = this.#turn(id);
    const before = turn.answers;
    const show = (texts: readonly string[], done: boolean) => {
      const answers = texts.map((text): Answer => ({ text, by, done }));
      this.#changeTurn(id, { answers: [...before, ...answers] });
    };
    const job = answerJob(this.#state, turn, numbers);
    this.#change({ answering: true });
    show(
      numbers.map(() => ''),
      false,
    );
    this.#changeTurn(id, { error: undefined });
    try {
      const { prompt, texts } = await this.#worker.run(job, (told: Told) => {
        if (told.kind === 'text') show(told.texts, false);
      });
      show(texts, true);
      this.#changeTurn(id, { prompt });
    } catch (error) {
      // The next answer begins with a worker that remembers nothing of this one, such as a device that was lost.
      this.#worker.end();
      this.#changeTurn(id, {
        answers: before,
        error: messageOf(error),
      });
    } finally {
      await this.#keep({ answering: false });
    }
  }

  /** Learns or aligns until that is done, stopped or failed; what it has reached is on disk at all times. */
  async #work(begun: Work, stopping: AbortSignal): Promise<void> {
    await this.#keep({ work: begun });
    const onTold = (told: Told) => {
      const { work } = this.#state;
      if (work) this.#change({ work: { ...work, ...progressOf(told, work) } });
    };
    try {
      if (stopping.aborted) throw new Stopped();
      const outcome = await outcomeOf(this.#worker, begun, this.#state, onTold);
      await this.#keep({ ...outcome, work: undefined });
    } catch (error) {
      if (!this.#state.work) return;
      const { work } = this.#state;
      if (error instanceof Stopped) await this.#keep({ work: { ...work, status: 'stopped' } });
      else {
        if (!(error instanceof UserError)) console.error(error);
        // The next try begins with a worker that remembers nothing of this one.
        this.#worker.end();
        await this.#keep({ work: { ...work, status: 'failed', error: messageOf(error) } });
      }
    }
  }
}
