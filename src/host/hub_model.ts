import { messageOf, UserError } from '../errors.ts';
import { POLICY_SETTINGS } from '../model/policy_files.ts';
import { WEIGHTS_INDEX } from '../model/weight_files.ts';
import { expectAnswer, persist } from './transfers.ts';

/** A file of a server, as it says it is before it is fetched. */
export interface RemoteFile {
  readonly url: string;
  /** How messages call it. */
  readonly name: string;
  readonly size: number;
  /** Hexadecimal: sha-256 of the content, or SHA-1 of the git blob with it; absent where the server names none. */
  readonly sha256?: string;
  readonly gitSha1?: string;
}

/** A model of a hub: `org/name`, or `org/name@revision` for a branch, tag or commit. */
export interface HubModel {
  readonly id: string;
  readonly revision: string;
}

const NAME = /^([\w.-]+\/[\w.-]+?)(?:@([\w./-]+))?$/;
/** What a revision looks like that never changes. */
export const COMMIT = /^[0-9a-f]{40}$/;

/** The model that a text names; undefined where it can only be a path. */
export function parseHubName(text: string): HubModel | undefined {
  const match = NAME.exec(text);
  if (!match || /(^|\/)\.{1,2}(\/|$)/.test(text)) return undefined;
  return { id: match[1], revision: match[2] ?? 'main' };
}

/** An entry of the hub's listing of a revision: https://huggingface.co/docs/hub/api. */
interface TreeEntry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  /** SHA-1 of the git blob. */
  readonly oid: string;
  /** Of a file that git only points to: sha-256 of its content. */
  readonly lfs?: { readonly oid: string; readonly size: number };
}

/** The files of a revision that a policy or a scorer may need. */
export async function listModel(
  endpoint: string,
  { id, revision }: HubModel,
  token: string | undefined,
): Promise<Map<string, RemoteFile>> {
  const files = new Map<string, RemoteFile>();
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  try {
    let page: string | undefined =
      `${endpoint}/api/models/${id}/tree/${encodeURIComponent(revision)}?recursive=true`;
    while (page !== undefined) {
      const response: Response = await ask(page, { headers });
      if (!response.ok) throw new UserError(`${id}: ${endpoint} answered ${reasonOf(response)}`, 1);
      for (const { type, path, size, oid, lfs } of (await response.json()) as TreeEntry[]) {
        const wanted =
          POLICY_SETTINGS.includes(path) || path === WEIGHTS_INDEX || /^[\w.-]+\.safetensors$/.test(path);
        if (type !== 'file' || !wanted) continue;
        const checksum = lfs ? { sha256: lfs.oid.replace(/^sha256:/, '') } : { gitSha1: oid };
        const url = `${endpoint}/${id}/resolve/${encodeURIComponent(revision)}/${path}`;
        files.set(path, { url, name: `${id}/${path}`, size: lfs?.size ?? size, ...checksum });
      }
      page = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('Link') ?? '')?.[1];
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${id}: ${endpoint} did not list its files (${causeOf(error)})`, 1);
  }
  return files;
}

/** A request that is repeated while the server is busy or broken; a server that cannot be reached fails at once. */
export async function ask(url: string, init: RequestInit): Promise<Response> {
  let unreachable: unknown;
  const response = await persist(
    async () => {
      const answer = await fetch(url, init).catch((error) => {
        unreachable = error;
      });
      if (answer) expectAnswer(answer);
      return answer;
    },
    () => 0,
  );
  if (!response) throw unreachable;
  return response;
}

/** What a server that refuses answered, and what may be done. */
export function reasonOf(response: Response): string {
  const { status, statusText, headers } = response;
  if (headers.get('X-Error-Code') === 'GatedRepo') {
    const said = headers.get('X-Error-Message') ?? 'access to the model is restricted';
    return `${status}: ${said.trim()} Accept its terms there; the token has to be of that account`;
  }
  if (status === 401 || status === 403) {
    return `${status}: there is no such model, or it asks for a token with access to it, or the token given is not valid`;
  }
  if (status === 404) return `${status}: there is no such model, revision or file`;
  return `${status} ${statusText}`.trim();
}

/** fetch says why it failed in the cause of its error. */
export function causeOf(error: unknown): string {
  const cause = (error as { cause?: unknown } | null)?.cause;
  return cause instanceof Error && cause.message ? cause.message : messageOf(error);
}
