/** What prompts are remembered by, so that millions of them take little memory. */

/** A longer prompt is remembered by its hash. */
const LONGEST_KEY = 64;

/** What a prompt is remembered by; undefined for lists within lists too many to read. */
export function keyOf(prompt: string | readonly unknown[]): string | undefined {
  const text = typeof prompt === 'string' ? prompt : json(prompt);
  return text === undefined || text.length <= LONGEST_KEY ? text : hashed(text);
}

/** As JSON, also of the 64-bit integers that a parquet file may hold; undefined where it lies too deep. */
export function json(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Texts by 53-bit hashes, for which two of them are all but never the same. */
export class HashSet {
  #slots = new Float64Array(1024);
  #size = 0;

  /** The place of a hash, or the free one that it would have. */
  #slotOf(hash: number): number {
    let slot = hash % this.#slots.length;
    while (this.#slots[slot] !== 0 && this.#slots[slot] !== hash) slot = (slot + 1) % this.#slots.length;
    return slot;
  }

  #insert(hash: number): void {
    const slot = this.#slotOf(hash);
    if (this.#slots[slot] === 0) this.#size++;
    this.#slots[slot] = hash;
  }

  add(text: string): void {
    if (2 * this.#size >= this.#slots.length) {
      const old = this.#slots;
      this.#slots = new Float64Array(2 * old.length);
      this.#size = 0;
      for (const hash of old) if (hash !== 0) this.#insert(hash);
    }
    this.#insert(cyrb53(text, 1) || 1);
  }

  has(text: string): boolean {
    return this.#size > 0 && this.#slots[this.#slotOf(cyrb53(text, 1) || 1)] !== 0;
  }
}

/** Two 53-bit hashes of the text (cyrb53) and its length: even millions of prompts never share them by chance. */
function hashed(text: string): string {
  return `${text.length} ${cyrb53(text, 1)} ${cyrb53(text, 2)}`;
}

function cyrb53(text: string, seed: number): number {
  let a = 0xdeadbeef ^ seed;
  let b = 0x41c6ce57 ^ seed;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (b & 2097151) + (a >>> 0);
}
