import { HttpProblem } from './problem.ts';

/** A check of Authorization headers against one token, in a time that tells nothing about it. */
export async function tokenCheck(token: string): Promise<(header: string | undefined) => Promise<void>> {
  const expected = await digest(token);
  return async (header) => {
    const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
    const actual = await digest(given ?? '');
    let difference = given === undefined ? 1 : 0;
    for (let i = 0; i < expected.length; i++) difference |= expected[i] ^ actual[i];
    if (difference === 0) return;
    const detail = given === undefined ? 'expected a header Authorization: Bearer <token>' : 'wrong token';
    throw new HttpProblem(401, detail, { 'www-authenticate': 'Bearer' });
  };
}

/** Digests have one length and cannot be steered, so comparing them reveals neither length nor prefix of the token. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}
