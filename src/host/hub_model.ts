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

/** The files of a revision that a policy or a scorer may need. */
export async function listModel(
  endpoint: string,
  { id, revision }: HubModel,
  token: string | undefined,
): Promise<Map<string, RemoteFile>> {
  const { listFiles } = await import('@huggingface/hub');
  const files = new Map<string, RemoteFile>();
  const credentials = token === undefined ? {} : { accessToken: token };
  try {
    const query = { repo: id, revision, recursive: true, hubUrl: endpoint, ...credentials };
    for await (const { type, path, size, oid, lfs } of listFiles(query)) {
      const wanted =
        POLICY_SETTINGS.includes(path) || path === WEIGHTS_INDEX || /^[\w.-]+\.safetensors$/.test(path);
      if (type !== 'file' || !wanted) continue;
      const checksum = lfs ? { sha256: lfs.oid.replace(/^sha256:/, '') } : { gitSha1: oid };
      const url = `${endpoint}/${id}/resolve/${revision}/${path}`;
      files.set(path, { url, name: `${id}/${path}`, size: lfs?.size ?? size, ...checksum });
    }
  } catch (error) {
    throw new UserError(`${id}: ${endpoint} did not list its files (${causeOf(error)})`, 1);
  }
  return files;
}

/** fetch says why it failed in the cause of its error. */
export function causeOf(error: unknown): string {
  const cause = (error as { cause?: unknown } | null)?.cause;
  return cause instanceof Error && cause.message ? cause.message : messageOf(error);
}
