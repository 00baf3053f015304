/** The worker that solves what scores the page was given. */
import * as Comlink from 'comlink';
import { ScoresBench } from './scores/bench.ts';

Comlink.expose(new ScoresBench());
