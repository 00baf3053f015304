import { UserError } from '../src/errors.ts';

export interface ServiceOptions {
  /** Bearer token that /v1 asks for; anyone may call it if left out. */
  readonly token?: string;
  /** Origins whose pages may read answers, or ['*']; none but the service's own if left out. */
  readonly corsOrigins?: readonly string[];
  /** Largest body in bytes; 32 MiB if left out. */
  readonly maxBodyBytes?: number;
  /** Most time for a body to arrive, in seconds; 30 if left out. */
  readonly maxBodySeconds?: number;
  /**
   * Most computing a request may ask for, in terms of a softmax (edge/work.ts), each about a nanosecond; 10¹⁰ if left out.
   * The time limit of a service without preemption: it is checked before computing.
   */
  readonly maxWork?: number;
  /** The kernels compiled, where the host forbids compiling at run time. */
  readonly module?: WebAssembly.Module;
}

export const DEFAULTS = { maxBodyBytes: 32 * 2 ** 20, maxBodySeconds: 30, maxWork: 1e10 } as const;

/** Options from environment variables, or a worker's variables and secrets. */
export function optionsFrom(environment: Readonly<Record<string, unknown>>): ServiceOptions {
  const text = (name: string) => {
    const value = environment[name];
    return value === undefined || value === '' ? undefined : String(value);
  };
  const number = (name: string) => {
    const value = text(name);
    if (value === undefined) return undefined;
    if (!(Number(value) > 0)) throw new UserError(`${name}: expected a number above 0, got ${value}`);
    return Number(value);
  };
  return {
    token: text('DUALIGN_TOKEN'),
    corsOrigins: text('DUALIGN_CORS_ORIGINS')
      ?.split(',')
      .map((origin) => origin.trim()),
    maxBodyBytes: number('DUALIGN_MAX_BODY_BYTES'),
    maxBodySeconds: number('DUALIGN_MAX_BODY_SECONDS'),
    maxWork: number('DUALIGN_MAX_WORK'),
  };
}
