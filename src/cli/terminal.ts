import process from 'node:process';
import { Presets, SingleBar } from 'cli-progress';
import type { Progress } from '../align/progress.ts';
import { adviceText } from '../errors.ts';
import type { FetchProgress } from '../host/fetched.ts';

/** Seconds between progress lines where there is no terminal to draw a bar on. */
const LINE_INTERVAL = 15;

/** Progress on stderr: bars with rate and time left on a terminal, plain lines elsewhere. */
export function terminalProgress(quiet: boolean): Progress {
  if (quiet) return { stage: () => {}, advance: () => {}, say };
  return process.stderr.isTTY ? barProgress() : lineProgress();
}

/** How downloads of models show: a stage of their own, in megabytes. */
export function fetchProgress(progress: Progress): FetchProgress {
  let current = '';
  let shown = 0;
  const megabytes = (bytes: number) => Math.round(bytes / 1e5) / 10;
  return {
    download(name, done, total) {
      if (name !== current) progress.stage(`fetch ${name}`, 'started');
      current = name;
      // The last of many small files are not worth a line each.
      if (total >= 1e6 && megabytes(done) !== shown)
        progress.advance(megabytes(done), megabytes(total), 'MB');
      shown = megabytes(done);
    },
    say: (text) => progress.say(text),
  };
}

function say(what: string, mend: readonly string[] = []): void {
  print(adviceText({ what, mend }));
}

function print(text: string): void {
  process.stderr.write(`${text}\n`);
}

function stageLine(name: string, state: 'started' | 'kept' | 'given', note?: string): string {
  const states = { started: '', kept: ' (done before)', given: ' (given)' };
  return `${name}${states[state]}${note ? `: ${note}` : ''}`;
}

function rateOf(done: number, startedAt: number, startedFrom: number): number {
  return (done - startedFrom) / Math.max(1e-3, (performance.now() - startedAt) / 1000);
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function rateText(rate: number): string {
  return rate >= 10 ? rate.toFixed(0) : rate.toPrecision(2);
}

function barProgress(): Progress {
  let bar: SingleBar | undefined;
  let startedAt = 0;
  let startedFrom = 0;
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    stage(name, state, note) {
      stop();
      print(stageLine(name, state, note));
    },
    advance(done, total, unit, note = '') {
      if (!bar) {
        const format = '  {bar} {percentage}% | {value}/{total} {unit} | {rate}/s | {left} left {note}';
        bar = new SingleBar(
          { format, stream: process.stderr, hideCursor: true, fps: 5, gracefulExit: false },
          Presets.shades_classic,
        );
        startedAt = performance.now();
        startedFrom = done;
        bar.start(total, done, { unit, rate: '-', left: '?', note });
        return;
      }
      const rate = rateOf(done, startedAt, startedFrom);
      bar.update(done, { unit, rate: rateText(rate), left: duration((total - done) / rate), note });
      if (done >= total) stop();
    },
    say(what, mend) {
      stop();
      say(what, mend);
    },
  };
}

function lineProgress(): Progress {
  let startedAt = 0;
  let startedFrom = 0;
  let lastLine = 0;
  let running = false;
  return {
    stage(name, state, note) {
      running = false;
      print(stageLine(name, state, note));
    },
    advance(done, total, unit, note = '') {
      const now = performance.now();
      if (!running) {
        running = true;
        startedAt = lastLine = now;
        startedFrom = done;
        return;
      }
      const finished = done >= total;
      if (finished) running = false;
      if (!finished && now - lastLine < LINE_INTERVAL * 1000) return;
      lastLine = now;
      const rate = rateOf(done, startedAt, startedFrom);
      const left = finished
        ? `took ${duration((now - startedAt) / 1000)}`
        : `${duration((total - done) / rate)} left`;
      print(`  ${done}/${total} ${unit}, ${rateText(rate)}/s, ${left}${note ? `, ${note}` : ''}`);
    },
    say,
  };
}
