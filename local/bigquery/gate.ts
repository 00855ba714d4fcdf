/**
 * Readers together, or one commit alone. DuckDB 1.5 lets a reader that overlaps a commit see its new rows before its
 * deletions (measured: 200,000 replaced rows counted as 400,000), so a commit waits for the readers and they for it.
 */
export class Gate {
  readers = 0;
  closed: Promise<void> | undefined;
  idle: (() => void) | undefined;

  /** Reads together with others. Must not be nested: an inner one would wait for a commit that waits for the outer one. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.closed !== undefined) await this.closed;
    this.readers += 1;
    try {
      return await work();
    } finally {
      this.readers -= 1;
      if (this.readers === 0) this.idle?.();
    }
  }

  /** Commits while nobody reads; who comes meanwhile waits. Callers take turns by themselves. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    let open = (): void => undefined;
    this.closed = new Promise((resolve) => {
      open = resolve;
    });
    try {
      if (this.readers > 0)
        await new Promise<void>((resolve) => {
          this.idle = resolve;
        });
      return await work();
    } finally {
      this.idle = undefined;
      this.closed = undefined;
      open();
    }
  }
}
