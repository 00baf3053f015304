/** Prints the answers with as many threads as the argument says; run by Deno. */
import { threadedAnswers } from './threaded_answers.ts';

for (const line of await threadedAnswers(Number(process.argv[2]))) console.log(line);
