import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isBuilt, recordBuild } from '../../../scripts/build_record.ts';

describe('the record of a build', () => {
  let folder: string;
  const file = (path: string, text: string): void => writeFileSync(join(folder, path), text);
  const built = (key = 'settings'): Promise<boolean> => isBuilt(join(folder, 'dist'), folder, key);

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'built-'));
    mkdirSync(join(folder, 'dist'));
    file('source.ts', 'let a = 1;');
    file('dist/index.js', 'let a=1;');
    await recordBuild(join(folder, 'dist'), folder, {
      key: 'settings',
      inputs: ['source.ts', '<stdin>'],
      outputs: ['index.js'],
    });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('knows what it has built', async () => {
    expect(await built()).toBe(true);
    file('source.ts', 'let a = 1;');
    expect(await built()).toBe(true);
  });

  it('does not know a folder without a record', async () => {
    rmSync(join(folder, 'dist'), { recursive: true });
    expect(await built()).toBe(false);
  });

  it.each([
    ['a source changed', () => file('source.ts', 'let a = 2;')],
    ['a source is gone', () => rmSync(join(folder, 'source.ts'))],
    ['a bundle changed', () => file('dist/index.js', 'let a=2;')],
    ['a bundle is gone', () => rmSync(join(folder, 'dist/index.js'))],
  ])('builds again when %s', async (_, change) => {
    change();
    expect(await built()).toBe(false);
  });

  it('builds again with other settings', async () => {
    expect(await built('others')).toBe(false);
  });
});
