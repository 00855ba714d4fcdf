import { describe, expect, it } from 'vitest';
import { Malformed, objectsIn } from '../../../functions/json_batch.ts';

const of = (text: string): readonly string[] => objectsIn(Buffer.from(text));
const fault = (body: string | Buffer): string => {
  try {
    objectsIn(Buffer.from(body as string));
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
  return 'well-formed';
};

describe('a batch of JSON objects', () => {
  it('is one object, an array of them, or one a line; each as it was written', () => {
    expect(of(' {"a": 1}\n')).toEqual(['{"a": 1}']);
    expect(of('{\n  "a": [1, 2],\n  "b": {"c": "}"}\n}')).toEqual([
      '{\n  "a": [1, 2],\n  "b": {"c": "}"}\n}',
    ]);
    expect(of('[ {"a":1.10} ,\n{"b":"x,]\\"}"},{}]')).toEqual([
      '{"a":1.10}',
      '{"b":"x,]\\"}"}',
      '{}',
    ]);
    expect(of('{"a":1}\r\n\r\n{"b": 12345678901234567890}\n')).toEqual([
      '{"a":1}',
      '{"b": 12345678901234567890}',
    ]);
    expect(of('[]')).toEqual([]);
    expect(of('\uFEFF{"a":"ü"}')).toEqual(['{"a":"ü"}']);
    expect(of('[{"a":"\\\\"},{"b":"\\\\\\""}]')).toEqual(['{"a":"\\\\"}', '{"b":"\\\\\\""}']);
  });

  it('keeps every element’s bytes, whatever is in them', () => {
    const values = [
      '{"a":[[],{"b":"[{"}]}',
      '{"\\"":"\\\\"}',
      '{ "n" : -0.0e+1 }',
      '{"t":"\\u005b"}',
    ];
    for (const gap of ['', ' ', '\n\t']) {
      expect(of(`[${gap}${values.join(`${gap},${gap}`)}${gap}]`)).toEqual(values);
    }
  });

  it('names the line that is not well-formed', () => {
    expect(fault('{"a":1}\n{"a":\n{"b":1}')).toBe('line 2: not valid JSON');
    expect(fault('{"a":1}\n[1]\n')).toBe('line 2: not a JSON object');
    expect(fault('{"a":1}\n\n7')).toBe('line 3: not a JSON object');
    expect(fault('hello')).toBe('line 1: not valid JSON');
    expect(fault('"text"')).toBe('line 1: not a JSON object');
    expect(fault('')).toBe('line 1: there is no JSON object');
    expect(fault(' \n \n')).toBe('line 1: there is no JSON object');
    expect(fault('[\n{"a":1},\n{"b":x},\n{"c":1}]')).toBe('line 3: element 2 is not valid JSON');
    expect(fault('[\n{"a":1},\n 7]')).toBe('line 3: element 2 is not a JSON object');
    expect(fault('[{"a":1},\n{"b":"cut o')).toBe('line 2: element 2 is not valid JSON');
    expect(fault('[\n{"a":1}\n,\n]')).toBe('line 4: the array is not valid JSON');
    expect(fault('[{"a":1}] {"b":1}')).toBe('line 1: the array is not valid JSON');
    expect(fault(Buffer.from([0x7b, 0x7d, 0x0a, 0xff, 0x0a]))).toBe('line 2: not UTF-8');
  });
});
