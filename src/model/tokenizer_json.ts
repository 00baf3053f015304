/** What @huggingface/tokenizers 0.2.0 does otherwise than the Rust library that wrote tokenizer.json, mended in the JSON. */

type Node = Readonly<Record<string, unknown>>;

/** tokenizer.json with its digits as the Rust library knows them: every number of Unicode, such as ² and ①, not 0 to 9 alone. */
export function mendTokenizerJson(json: object): object {
  const { pre_tokenizer: given } = json as { pre_tokenizer?: Node | null };
  return given ? { ...json, pre_tokenizer: mendDigits(given) } : json;
}

function mendDigits(node: Node): Node {
  if (node.type === 'Sequence' && Array.isArray(node.pretokenizers)) {
    return { ...node, pretokenizers: node.pretokenizers.map(mendDigits) };
  }
  if (node.type !== 'Digits') return node;
  const pattern = { Regex: node.individual_digits === true ? '\\p{N}' : '\\p{N}+' };
  return { type: 'Split', pattern, behavior: 'Isolated', invert: false };
}

/**
 * tokenizer_config.json without the setting that takes spaces away before punctuation of decoded text: made for WordPiece,
 * it is on by default there, and in the files of Llama 3, though it corrupts what byte-pair tokenizers decode.
 * transformers ignores it for them too.
 */
export function mendTokenizerConfig(config: object, json: object): object {
  const { model } = json as { model?: { type?: unknown } };
  const { clean_up_tokenization_spaces: given = false } = config as Node;
  return { ...config, clean_up_tokenization_spaces: model?.type === 'BPE' ? false : given };
}
