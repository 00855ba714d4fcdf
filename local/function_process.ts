/**
 * Loaded into every function's process before its own code, for what the functions framework cannot
 * be told: it listens on all interfaces, which would open a function to the network unguarded, and
 * it would outlive a cloud that was killed.
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

// The cloud holds the other end, and lets go of it whatever way it ends.
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
process.stdin.unref();
