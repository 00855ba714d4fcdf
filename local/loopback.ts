/**
 * Loaded into every function's process before its own code: the functions framework listens on all
 * interfaces and cannot be told otherwise, which would open a function to the network unguarded.
 */
import { Server } from 'node:net';

const listen = Server.prototype.listen as (this: Server, ...words: unknown[]) => Server;

Server.prototype.listen = function onLoopback(this: Server, ...words: unknown[]): Server {
  const [port, host] = words;
  if (typeof host === 'string' || (typeof port !== 'number' && typeof port !== 'string')) {
    return listen.apply(this, words);
  }
  return listen.call(this, port, '127.0.0.1', ...words.slice(1));
} as Server['listen'];
