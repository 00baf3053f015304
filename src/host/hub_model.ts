import { messageOf, UserError } from '../errors.ts';
import { POLICY_SETTINGS } from '../model/policy_files.ts';
import { WEIGHTS_INDEX } from '../model/weight_files.ts';

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
      const response: Response = await fetch(page, { headers });
      if (!response.ok) throw new Error(`it answered ${response.status}${reasonOf(response)}`);
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
    throw new UserError(`${id}: ${endpoint} did not list its files (${causeOf(error)})`, 1);
  }
  return files;
}

function reasonOf({ status }: Response): string {
  if (status === 401 || status === 403)
    return ': there is no such model, or it asks for a token with access to it';
  return status === 404 ? ': there is no such model or revision' : '';
}

/** fetch says why it failed in the cause of its error. */
export function causeOf(error: unknown): string {
  const cause = (error as { cause?: unknown } | null)?.cause;
  return cause instanceof Error && cause.message ? cause.message : messageOf(error);
}
