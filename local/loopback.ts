/** Servers at 127.0.0.1, which is all that anything local ever listens on. */
import type { Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';

const HERE = '127.0.0.1';

export interface Listening {
  readonly url: string;
  /** Ends open connections too; resolves when the port is free again. */
  close(): Promise<void>;
}

/** @param port 0 = any free one; rejects when it is taken */
export async function listen(server: HttpServer, port = 0): Promise<Listening> {
  const taken = await listenAt(server, port);
  return {
    url: `http://${HERE}:${taken}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Ports given out by this process: two servers must never hear each other's requests. */
const given = new Set<number>();

/** A port nobody listens on at the moment, for a program that wants to be told one. */
export async function freePort(): Promise<number> {
  for (;;) {
    const probe = createServer();
    const port = await listenAt(probe, 0);
    await new Promise((resolve) => probe.close(resolve));
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

async function listenAt(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HERE, resolve);
  });
  return (server.address() as AddressInfo).port;
}
