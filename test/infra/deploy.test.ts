import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { deploy } from '../../scripts/deploy.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deploy-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program in Terraform's place that writes down how it was called. */
async function terraform(
  behaviour: {
    readonly version?: string;
    readonly plan?: number;
    /** What the plan changes, as `terraform show -json` tells. */
    readonly changes?: readonly unknown[];
  } = {},
) {
  const path = join(folder, 'terraform');
  await writeFile(
    join(folder, 'shown'),
    `Warning: something\n${JSON.stringify({ format_version: '1.2', resource_changes: behaviour.changes ?? [] })}\n`,
  );
  await writeFile(
    path,
    `#!/bin/sh
echo "$*" >> '${folder}/calls'
case "$*" in
  version*) echo 'There are some problems with the CLI configuration' >&2; echo '{"terraform_version":"${behaviour.version ?? '1.11.4'}"}' ;;
  *" show "*) cat '${folder}/shown' ;;
  *" plan "*) exit ${behaviour.plan ?? 2} ;;
esac
`,
  );
  await chmod(path, 0o755);
  return path;
}

const calls = async () =>
  (await readFile(join(folder, 'calls'), 'utf8').catch(() => ''))
    .replaceAll(folder, 'FOLDER')
    .split('\n')
    .filter((line) => line !== '');

const prepare = () => Promise.resolve(folder);

test('what is applied is exactly the plan that was shown', async () => {
  await deploy({
    environment: 'dev',
    yes: true,
    terraform: await terraform(),
    words: ['-target=a.b'],
    prepare,
  });
  expect(await calls()).toEqual([
    'version -json',
    '-chdir=FOLDER init -input=false',
    '-chdir=FOLDER plan -input=false -detailed-exitcode -out=plan -target=a.b',
    '-chdir=FOLDER show -json plan',
    '-chdir=FOLDER apply -input=false plan',
  ]);
});

test.each([
  ['with --plan', { planOnly: true }, 2],
  ['when there is nothing to do', { yes: true }, 0],
])('nothing is applied %s', async (_, options, plan) => {
  await deploy({ environment: 'dev', ...options, terraform: await terraform({ plan }), prepare });
  expect((await calls()).filter((call) => call.includes('apply'))).toEqual([]);
});

const change = (
  type: string,
  actions: readonly string[],
  before: unknown = null,
  after: unknown = null,
) => ({ address: `${type}.it`, type, change: { actions, before, after } });
const table = (...names: readonly string[]) => ({
  schema: JSON.stringify(names.map((name) => ({ name, type: 'STRING' }))),
});

test.each([
  [
    'drops a column, which Terraform calls an update in-place',
    change('google_bigquery_table', ['update'], table('id', 'kept', 'gone'), table('id', 'kept')),
    'google_bigquery_table.it loses its column gone',
  ],
  [
    'replaces a table',
    change('google_bigquery_table', ['delete', 'create'], table('id'), table('key')),
    'google_bigquery_table.it is removed, with its rows',
  ],
  [
    'removes a secret',
    change('google_secret_manager_secret', ['delete']),
    'google_secret_manager_secret.it is removed, with its values',
  ],
])('a plan that %s is only applied when loss is allowed', async (_, lossy, sentence) => {
  const program = await terraform({ changes: [lossy] });
  const said: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void said.push(line));
  try {
    const options = { environment: 'dev', yes: true, terraform: program, prepare };
    await expect(deploy(options)).rejects.toThrow('give --allow-loss if that is meant');
    expect(said).toEqual([`loss: ${sentence}`]);
    expect((await calls()).filter((call) => call.includes('apply'))).toEqual([]);
    await deploy({ ...options, allowLoss: true });
    expect((await calls()).filter((call) => call.includes('apply'))).toHaveLength(1);
  } finally {
    log.mockRestore();
  }
});

test('what can be made again, or grows, is applied without more ado', async () => {
  const changes = [
    change('google_bigquery_table', ['update'], table('id'), table('id', 'new')),
    change('google_bigquery_table', ['update'], table('id'), {}),
    change('google_storage_bucket_object', ['delete', 'create']),
    change('google_pubsub_subscription', ['create'], null, {}),
  ];
  await deploy({
    environment: 'dev',
    yes: true,
    terraform: await terraform({ changes }),
    prepare,
  });
  expect((await calls()).at(-1)).toContain('apply');
});

test('a plan that fails ends it', async () => {
  const broken = await terraform({ plan: 1 });
  await expect(
    deploy({ environment: 'dev', yes: true, terraform: broken, prepare }),
  ).rejects.toThrow('terraform plan ended with 1');
  expect((await calls()).filter((call) => call.includes('apply'))).toEqual([]);
});

test('with nobody to ask, nothing is built', async () => {
  const never = () => Promise.reject(new Error('was prepared'));
  await expect(
    deploy({ environment: 'dev', terraform: await terraform(), prepare: never }),
  ).rejects.toThrow('give --yes to apply, or --plan to look only');
});

test('refusals say what to do next', async () => {
  const common = { yes: true, prepare };
  await expect(
    deploy({ ...common, environment: 'dev', terraform: join(folder, 'none') }),
  ).rejects.toThrow(/none is not there: install Terraform 1\.9 or later.*docs\/deploy\.md/);
  const old = await terraform({ version: '1.5.7' });
  await expect(deploy({ ...common, environment: 'dev', terraform: old })).rejects.toThrow(
    'is 1.5.7; 1.9 or later is needed',
  );
  await expect(deploy({ ...common, environment: 'local' })).rejects.toThrow(
    './tributary local starts it',
  );
  await expect(deploy({ ...common, environment: 'prod' })).rejects.toThrow(
    'no environment is called prod: infra/environments/ has dev, local',
  );
});
