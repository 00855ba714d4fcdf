/** Bodies of requests, read while there is room for them: what an instance's memory bears. */
import type { IncomingMessage } from 'node:http';

export interface BodyLimits {
  /** Of one body. */
  readonly mostBytes: number;
  /** Of all bodies that are being read or worked on. */
  readonly mostHeldBytes: number;
  /** The same of one sender, so that no one keeps the others out. */
  readonly mostHeldBytesOfOne: number;
  /** From its first byte to its last. */
  readonly withinMs: number;
}

export interface Body {
  readonly bytes: Buffer;
  /** Has to be called once nobody needs the bytes any more. */
  release(): void;
}

/** Why there is no body. `gone`: the sender has left. */
export type NoBody = 'too_large' | 'too_busy' | 'too_slow' | 'gone';

export class RequestBodies {
  readonly #limits: BodyLimits;
  readonly #heldBy = new Map<string, number>();
  #held = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /** @param sender whoever shares a bound; the address, for example */
  read(request: IncomingMessage, sender: string): Promise<Body | NoBody> {
    const { mostBytes, mostHeldBytes, mostHeldBytesOfOne, withinMs } = this.#limits;
    return new Promise((resolve) => {
      const parts: Buffer[] = [];
      let length = 0;
      const end = (outcome: NoBody | null): void => {
        clearTimeout(patience);
        request.off('data', take).off('end', whole).off('close', gone).off('error', gone);
        if (outcome === null) {
          const bytes = Buffer.concat(parts);
          resolve({ bytes, release: () => this.#hold(sender, -length) });
          return;
        }
        this.#hold(sender, -length);
        // The rest is read and dropped, so that the answer arrives.
        request.on('error', () => {}).resume();
        resolve(outcome);
      };
      const take = (part: Buffer): void => {
        length += part.length;
        parts.push(part);
        const ofSender = this.#hold(sender, part.length);
        if (length > mostBytes) end('too_large');
        else if (this.#held > mostHeldBytes || ofSender > mostHeldBytesOfOne) end('too_busy');
      };
      const whole = (): void => end(null);
      const gone = (): void => end('gone');
      const patience = setTimeout(() => end('too_slow'), withinMs);
      request.on('data', take).on('end', whole).on('close', gone).on('error', gone);
    });
  }

  /** @returns what the sender holds now */
  #hold(sender: string, bytes: number): number {
    const held = (this.#heldBy.get(sender) ?? 0) + bytes;
    this.#held += bytes;
    if (held === 0) this.#heldBy.delete(sender);
    else this.#heldBy.set(sender, held);
    return held;
  }
}
