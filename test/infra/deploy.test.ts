import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { deploy } from '../../scripts/deploy.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deploy-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program in Terraform's place that writes down how it was called. */
async function terraform(behaviour: { readonly version?: string; readonly plan?: number } = {}) {
  const path = join(folder, 'terraform');
  await writeFile(
    path,
    `#!/bin/sh
echo "$*" >> '${folder}/calls'
case "$*" in
  version*) echo 'There are some problems with the CLI configuration' >&2; echo '{"terraform_version":"${behaviour.version ?? '1.11.4'}"}' ;;
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
