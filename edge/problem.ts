import { UserError } from '../src/errors.ts';

const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
} as const;

export type ProblemStatus = keyof typeof TITLES;

/** An answer other than the one asked for. */
export class HttpProblem extends Error {
  readonly status: ProblemStatus;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: ProblemStatus, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.headers = headers;
  }

  /** As application/problem+json (RFC 9457); about:blank says that the status tells the kind. */
  response(): Response {
    const { status, message: detail, headers } = this;
    return new Response(JSON.stringify({ type: 'about:blank', title: TITLES[status], status, detail }), {
      status,
      headers: { 'content-type': 'application/problem+json', ...headers },
    });
  }
}

/** What the client is told of any error: a fault of the service keeps its details to the log. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof UserError) return new HttpProblem(422, error.message);
  console.error(error);
  return new HttpProblem(500, 'the service failed on this request; its log has the reason');
}
