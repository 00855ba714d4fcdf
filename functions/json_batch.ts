/**
 * A batch of JSON objects as a sender writes it: one object, an array of them, or one a line
 * (NDJSON). Objects are told apart, not changed: each keeps its bytes. Only well-formedness is
 * checked; what an object means is judged later, by its contract.
 */
import { isUtf8 } from 'node:buffer';

/** What is not well-formed, and in which line (from 1) it begins. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
  readonly line: number;
  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

/**
 * The objects of a batch, each as its JSON text.
 * @throws Malformed
 */
export function objectsIn(body: Buffer): readonly string[] {
  if (!isUtf8(body)) throw new Malformed(lineThatIsNotUtf8(body), 'not UTF-8');
  const text = body.toString('utf8').replace(/^\uFEFF/, '');
  const whole = parsed(text);
  if (Array.isArray(whole)) return elements(text, whole);
  if (isObject(whole)) return [text.trim()];
  if (whole === undefined && text.trimStart().startsWith('[')) throw brokenArray(text);
  return lines(text);
}

/** Undefined = not JSON: no JSON text means undefined. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function lines(text: string): readonly string[] {
  const found: string[] = [];
  text.split('\n').forEach((line, i) => {
    const object = line.trim();
    if (object === '') return;
    const value = parsed(object);
    if (value === undefined) throw new Malformed(i + 1, 'not valid JSON');
    if (!isObject(value)) throw new Malformed(i + 1, 'not a JSON object');
    found.push(object);
  });
  if (found.length === 0) throw new Malformed(1, 'there is no JSON object');
  return found;
}

function elements(text: string, values: readonly unknown[]): readonly string[] {
  const wrong = values.findIndex((value) => !isObject(value));
  const spans = elementSpans(text);
  if (wrong >= 0) {
    const [from = 0] = spans[wrong] ?? [];
    throw new Malformed(lineAt(text, from), `element ${wrong + 1} is not a JSON object`);
  }
  return spans.map(([from, to]) => text.slice(from, to));
}

/** The first element that is broken; else what holds them together is. */
function brokenArray(text: string): Malformed {
  let i = 0;
  for (const [from, to] of elementSpans(text)) {
    i += 1;
    if (parsed(text.slice(from, to)) === undefined) {
      return new Malformed(lineAt(text, from), `element ${i} is not valid JSON`);
    }
  }
  return new Malformed(lineAt(text, text.trimEnd().length), 'the array is not valid JSON');
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const isOpening = (code: number): boolean => code === 0x5b || code === 0x7b;
const isClosing = (code: number): boolean => code === 0x5d || code === 0x7d;
const isBlank = (code: number): boolean =>
  code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** Begin and end of an array's elements, without the blanks around them. */
function elementSpans(text: string): readonly (readonly [number, number])[] {
  const spans: [number, number][] = [];
  let depth = 0;
  let from = 0;
  const end = (at: number): void => {
    let begin = from;
    let stop = at;
    while (begin < stop && isBlank(text.charCodeAt(begin))) begin += 1;
    while (stop > begin && isBlank(text.charCodeAt(stop - 1))) stop -= 1;
    if (stop > begin) spans.push([begin, stop]);
  };
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = closingQuote(text, at);
    else if (isOpening(code)) {
      depth += 1;
      if (depth === 1) from = at + 1;
    } else if (isClosing(code)) {
      depth -= 1;
      if (depth === 0) {
        end(at);
        return spans;
      }
    } else if (code === COMMA && depth === 1) {
      end(at);
      from = at + 1;
    }
  }
  // Cut off in the middle of an element.
  end(text.length);
  return spans;
}

/** Where the string that opens at `at` closes; the text's end when it does not. */
function closingQuote(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
  }
  return text.length;
}

function lineAt(text: string, at: number): number {
  let line = 1;
  for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', end + 1)) {
    line += 1;
  }
  return line;
}

function lineThatIsNotUtf8(body: Buffer): number {
  let line = 1;
  for (let from = 0; from < body.length; line += 1) {
    const end = body.indexOf(0x0a, from);
    const to = end < 0 ? body.length : end;
    if (!isUtf8(body.subarray(from, to))) return line;
    from = to + 1;
  }
  return line;
}
