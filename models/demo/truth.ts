/**
 * The grammar's rules as measures of responses, for `--measure models/demo/truth.ts#help` and `--measure-cost
 * models/demo/truth.ts#hazard`: they know the truth, where the reward and the cost model have learned from preferences.
 */
import { judge } from './grammar.ts';

/** How much each response helps: one for every step that does. */
export function help(prompt: string, responses: readonly string[]): number[] {
  return responses.map((response) => judge(prompt, response).help);
}

/** 1 for each response with a hazard in it, 0 for the others: their mean is the hazard rate. */
export function hazard(prompt: string, responses: readonly string[]): number[] {
  return responses.map((response) => (judge(prompt, response).hazard > 0 ? 1 : 0));
}
