/** The OpenAPI 3.1 document, made from the schemas that check requests. */
import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema';
import type { GenericSchema } from 'valibot';
import { VERSION } from '../src/generated/version.ts';
import { CURVE_ANSWER, DUAL_ANSWER, PLAN_ANSWER } from './answers.ts';
import { CURVE, DUAL, PLAN } from './parameters.ts';

interface Described {
  readonly summary: string;
  readonly description: string;
  readonly parameters: GenericSchema;
  readonly answer: GenericSchema;
}

const OPERATIONS: Readonly<Record<string, Described>> = {
  dual: {
    summary: 'λ*, predictions and a verdict',
    description:
      'Maximises E[reward] − β·KL(π‖π_ref) subject to the limits, over policies on the responses scored. Limits out of ' +
      'reach are an answer too: status infeasible, with a certificate.',
    parameters: DUAL,
    answer: DUAL_ANSWER,
  },
  curve: {
    summary: 'The trade-off over all thresholds',
    description:
      'With one safety score, each threshold with its price λ* and what the policy achieves, or the largest threshold ' +
      'within a budget. With several, one of them (axis) runs and the others keep the limits given, or all run along a ' +
      'direction; two make a grid of pairs. lambda asks the other way round.',
    parameters: CURVE,
    answer: CURVE_ANSWER,
  },
  plan: {
    summary: 'How many prompts and responses a trustworthy λ* takes',
    description:
      'λ* on random parts of the scores, and what would bring its interval and bias below a target.',
    parameters: PLAN,
    answer: PLAN_ANSWER,
  },
};

const NUMBERS = { type: 'array', items: { type: 'number' } };
const PER_PROMPT = { type: 'array', minItems: 1, items: NUMBERS };
const ROW = {
  type: 'object',
  required: ['prompt', 'reward', 'safety'],
  properties: {
    prompt: { type: ['string', 'array'], description: 'Rows of one prompt are its responses.' },
    reward: { type: 'number' },
    safety: { oneOf: [{ type: 'number' }, NUMBERS], description: 'Higher is safer.' },
    weight: { type: 'number', minimum: 0, description: 'Importance weight; in all rows or in none.' },
  },
};
const ARRAYS = {
  type: 'object',
  required: ['reward', 'safety'],
  properties: {
    reward: { ...PER_PROMPT, description: '[N][K]; K may differ between prompts.' },
    safety: {
      oneOf: [{ type: 'array', minItems: 1, items: PER_PROMPT }, PER_PROMPT],
      description: '[m][N][K], or [N][K] for a single score; higher is safer.',
    },
    weights: { ...PER_PROMPT, description: '[N][K]: importance weights.' },
  },
};
const SCORES = {
  description: 'Scores of responses drawn from the reference policy.',
  oneOf: [{ type: 'array', minItems: 1, items: ROW }, ARRAYS],
};
const PROBLEM = {
  description: 'Problem details (RFC 9457).',
  type: 'object',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
  },
};
const EXAMPLE_ROWS = [
  { prompt: 'a', reward: 1.5, safety: [-0.5] },
  { prompt: 'a', reward: 0.5, safety: [1] },
  { prompt: 'b', reward: 0.25, safety: [0.75] },
  { prompt: 'b', reward: 2, safety: [-1] },
];

export interface Service {
  readonly token: boolean;
  readonly maxBodyBytes: number;
}

export function openapi({ token, maxBodyBytes }: Service): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: {
      title: 'dualign',
      version: VERSION,
      description: 'From scores of sampled responses to the price of safety λ*, before anything is trained.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [],
    paths: {
      '/health': {
        get: {
          operationId: 'health',
          summary: 'Whether the service is up',
          responses: {
            200: json('Up', {
              type: 'object',
              required: ['status', 'version'],
              properties: { status: { const: 'ok' }, version: { type: 'string' } },
            }),
          },
        },
      },
      ...Object.fromEntries(
        Object.entries(OPERATIONS).map(([name, described]) => [
          `/v1/${name}`,
          { post: operation(name, described, token, maxBodyBytes) },
        ]),
      ),
    },
    components: {
      schemas: { Scores: SCORES, Problem: PROBLEM },
      ...(token ? { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } : {}),
    },
  };
}

function operation(name: string, described: Described, token: boolean, maxBodyBytes: number) {
  const { summary, description, answer } = described;
  const parameters = schemaOf(described.parameters);
  const properties = { scores: { $ref: '#/components/schemas/Scores' }, ...parameters.properties };
  const body = { ...parameters, properties, required: ['scores', ...(parameters.required ?? [])] };
  const example = {
    scores: EXAMPLE_ROWS,
    beta: 1,
    ...(name === 'curve' ? {} : { limits: [{ margin: 0.1 }] }),
  };
  const binary = { schema: {} };
  return {
    operationId: name,
    summary,
    description,
    ...(token ? { security: [{ token: [] }] } : {}),
    parameters: queryOf(parameters),
    requestBody: {
      required: true,
      description:
        'JSON with scores and parameters; or a score file, with the parameters in the URL: JSON Lines or parquet with a ' +
        'response a row, safetensors or .npz with reward [N, K] and safety [m, N, K]. Its kind shows from its first ' +
        `bytes. At most ${maxBodyBytes} bytes.`,
      content: {
        'application/json': { schema: body, example },
        'application/x-ndjson': binary,
        'application/octet-stream': binary,
      },
    },
    responses: {
      200: json('The answer', schemaOf(answer)),
      400: problem('The scores cannot be read'),
      ...(token ? { 401: problem('No token, or a wrong one') } : {}),
      408: problem('The body took too long'),
      413: problem('The body is too large'),
      415: problem('The body is compressed'),
      422: problem('The parameters do not fit the scores, ask for too much, or allow no answer'),
    },
  };
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

function schemaOf(schema: GenericSchema): ObjectSchema {
  // JSON has no other numbers than finite ones. OpenAPI 3.1 names the dialect of its schemas itself.
  const { $schema: _, ...rest } = toJsonSchema(schema, {
    target: 'draft-2020-12',
    ignoreActions: ['finite'],
  });
  return rest as ObjectSchema;
}

/** Parameters of a request whose body is a score file; limits are spelt threshold=… and margin=…, in order. */
function queryOf({ properties = {} }: ObjectSchema) {
  const only = 'For a body that is a score file.';
  return Object.entries(properties).flatMap(([name, schema]): Record<string, unknown>[] =>
    name === 'limits'
      ? ['threshold', 'margin'].map((limit) => ({
          name: limit,
          in: 'query',
          description: `${only} A limit as a ${limit}; one limit for each safety score, in order.`,
          schema: NUMBERS,
          style: 'form',
          explode: true,
        }))
      : [
          {
            name,
            in: 'query',
            description: only,
            schema,
            ...(schema.type === 'array' ? { style: 'form', explode: true } : {}),
          },
        ],
  );
}

function json(description: string, schema: unknown) {
  return { description, content: { 'application/json': { schema } } };
}

function problem(description: string) {
  return {
    description,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}
