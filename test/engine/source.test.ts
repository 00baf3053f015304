import { expect, test } from 'vitest';
import { setConstants, unroll } from '../../src/engine/webgpu/source.ts';

test('setConstants sets exactly the constants a kernel marks', () => {
  const source = 'const A = 2u; // rows, set by the host\nconst B = 3u;\n';
  expect(setConstants(source, { A: 7 })).toBe('const A = 7u;\nconst B = 3u;\n');
  expect(() => setConstants(source, {})).toThrow('shader: expected the constants A, got ');
  expect(() => setConstants(source, { A: 1, B: 1 })).toThrow('shader: expected the constants A, got A, B');
});

test('unroll writes out marked loops, nested ones too, and leaves others', () => {
  const source = [
    'const N = 2u;',
    '  // unroll',
    '  for (var r = 0u; r < N; r++) {',
    '    // unroll',
    '    for (var c = 1u; c < 3u; c++) {',
    '      x[r][c] = r + c;',
    '    }',
    '  }',
    '  for (var r = 0u; r < N; r++) {',
    '  }',
    '',
  ].join('\n');
  const text = unroll(source).replace(/\s+/g, ' ');
  expect(text).toBe(
    'const N = 2u; { { x[0u][1u] = 0u + 1u; } { x[0u][2u] = 0u + 2u; } } ' +
      '{ { x[1u][1u] = 1u + 1u; } { x[1u][2u] = 1u + 2u; } } for (var r = 0u; r < N; r++) { } ',
  );
  expect(() => unroll('// unroll\nfor (var i = 0u; i < count; i++) {\n}\n')).toThrow('expected count');
});
