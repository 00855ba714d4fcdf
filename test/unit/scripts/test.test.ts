import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../../scripts/place.ts';
import { sum } from '../../../scripts/static_checks.ts';
import { pytestTally, runnersOf, vitestTally } from '../../../scripts/test.ts';

const vitestReport = (passed: number, failed: number, files: readonly (readonly string[])[]) => ({
  success: failed === 0,
  numPassedTests: passed,
  numFailedTests: failed,
  testResults: files.map(([status = '', ...tests]) => ({
    status,
    assertionResults: tests.map((each) => ({ status: each })),
  })),
});

describe('what the runners report', () => {
  it('is taken as it is when all is well', () => {
    const report = vitestReport(3, 0, [['passed', 'passed', 'passed', 'passed']]);
    expect(vitestTally(report, 0)).toEqual({ passed: 3, failed: 0 });
  });

  it('counts a file that could not be loaded', () => {
    const report = vitestReport(1, 1, [['passed', 'passed'], ['failed'], ['failed', 'failed']]);
    expect(vitestTally(report, 1)).toEqual({ passed: 1, failed: 2 });
  });

  it('counts an error outside every test', () => {
    const report = vitestReport(1, 0, [['passed', 'passed']]);
    expect(vitestTally(report, 1)).toEqual({ passed: 1, failed: 1 });
  });

  it('is read from JUnit: failures, errors and skipped apart', () => {
    const xml =
      '<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10"/></testsuites>';
    expect(pytestTally(xml, 1)).toEqual({ passed: 4, failed: 3 });
    const empty = '<testsuite name="pytest" errors="0" failures="0" skipped="0" tests="0"/>';
    expect(pytestTally(empty, 5)).toEqual({ passed: 0, failed: 1 });
  });

  it('adds up', () => {
    expect(sum({ passed: 1, failed: 0 }, { passed: 2, failed: 3 })).toEqual({
      passed: 3,
      failed: 3,
    });
    expect(sum()).toEqual({ passed: 0, failed: 0 });
  });
});

describe('a path', () => {
  const cases: readonly (readonly [string, boolean, boolean])[] = [
    ['test/unit/manifest.test.ts', true, false],
    ['test/jobs', false, true],
    ['test/jobs/test_gold.py', false, true],
    ['test/jobs/test_gold.py::test_one', false, true],
    ['jobs', false, true],
    ['test', true, true],
    ['', true, true],
  ];
  it.each(cases)('%s: vitest %s, pytest %s', (path, vitest, pytest) => {
    expect(runnersOf(join(root, path))).toEqual({ vitest, pytest });
  });
});
