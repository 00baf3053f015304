/** Prints the answers with as many threads, and chunks of as many prompts, as the arguments say; run by Deno. */
import { threadedAnswers } from './threaded_answers.ts';

const [threads, size] = process.argv.slice(2).map(Number);
for (const line of await threadedAnswers(threads, size)) console.log(line);
