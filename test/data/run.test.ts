import { describe, expect, it } from 'vitest';
import { Run } from '../../src/data/run.ts';
import { MemoryFolder } from '../support/memory_folder.ts';

function counted(folder: MemoryFolder, settings: Record<string, unknown>) {
  const calls = { count: 0 };
  const stage = {
    name: 'collect',
    settings,
    outputs: ['samples.jsonl'],
    partials: ['samples.jsonl.partial'],
    work: async () => {
      calls.count++;
      await folder.write('samples.jsonl', JSON.stringify(settings));
    },
  };
  return { calls, stage };
}

async function open(folder: MemoryFolder, redo = false): Promise<Run> {
  const run = await Run.open(folder, 'test 1');
  run.configure({ beta: 1 }, redo);
  return run;
}

describe('Run', () => {
  it('runs a stage once and keeps its output afterwards', async () => {
    const folder = new MemoryFolder();
    const { calls, stage } = counted(folder, { seed: 1 });
    expect(await (await open(folder)).stage(stage)).toBe('ran');
    expect(await (await open(folder)).stage(stage)).toBe('kept');
    expect(calls.count).toBe(1);
    const manifest = JSON.parse(await folder.readText('manifest.json'));
    expect(manifest).toMatchObject({
      config: { beta: 1 },
      stages: { collect: { status: 'done', settings: { seed: 1 } } },
    });
    expect(manifest.stages.collect.outputs['samples.jsonl']).toMatch(/^[0-9a-f]{64}$/);
  });

  it('refuses changed settings, and replaces the stage on redo', async () => {
    const folder = new MemoryFolder();
    await (await open(folder)).stage(counted(folder, { seed: 1 }).stage);
    await folder.write('samples.jsonl.partial', 'left over');
    const changed = counted(folder, { seed: 2 });
    await expect((await open(folder)).stage(changed.stage)).rejects.toThrow('seed was 1, now 2');
    expect(await folder.readText('samples.jsonl')).toBe('{"seed":1}');
    expect(await (await open(folder, true)).stage(changed.stage)).toBe('ran');
    expect(await folder.readText('samples.jsonl')).toBe('{"seed":2}');
    expect(await folder.exists('samples.jsonl.partial')).toBe(false);
  });

  it('makes a view again where its settings changed', async () => {
    const folder = new MemoryFolder();
    const view = (host: string) => ({ ...counted(folder, { host }).stage, view: true });
    expect(await (await open(folder)).stage(view('deno'))).toBe('ran');
    expect(await (await open(folder)).stage(view('deno'))).toBe('kept');
    expect(await (await open(folder)).stage(view('node'))).toBe('ran');
    expect(await folder.readText('samples.jsonl')).toBe('{"host":"node"}');
  });

  it('goes on with a stage that was killed, keeping its partial files', async () => {
    const folder = new MemoryFolder();
    const { stage } = counted(folder, { seed: 1 });
    const killed = { ...stage, work: async () => Promise.reject(new Error('killed')) };
    await expect((await open(folder)).stage(killed)).rejects.toThrow('killed');
    await folder.write('samples.jsonl.partial', 'first block');
    let found = '';
    const resumed = {
      ...stage,
      work: async () => {
        found = await folder.readText('samples.jsonl.partial');
        await stage.work();
      },
    };
    expect(await (await open(folder)).stage(resumed)).toBe('ran');
    expect(found).toBe('first block');
  });

  it('takes files that the user put there as given', async () => {
    const folder = new MemoryFolder();
    await folder.write('samples.jsonl', 'made elsewhere');
    const { calls, stage } = counted(folder, { seed: 1 });
    const run = await open(folder);
    expect(await run.isGiven('collect', 'samples.jsonl')).toBe(true);
    expect(await run.stage(stage)).toBe('given');
    expect(calls.count).toBe(0);
    expect(await (await open(folder)).stage(counted(folder, { seed: 2 }).stage)).toBe('given');
  });
});
