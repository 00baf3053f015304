/** In place of onnxruntime-web: preferences are learned by the policy itself, and no scorer is ever loaded. */
export {};
