/** Cloud Storage's client, with the number of listeners that it puts on one stream. */
import { EventEmitter } from 'node:events';

export { CRC32C, Storage } from '@google-cloud/storage';

// Up to 8.4.0 each download puts twelve on a stream of its own, however large it is and however many
// there are, and Node warns of a leak that is none: github.com/googleapis/google-cloud-node/issues/9185.
EventEmitter.defaultMaxListeners = Math.max(EventEmitter.defaultMaxListeners, 16);
