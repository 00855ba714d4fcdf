/** Pub/Sub's client with the credentials that belong to it: it takes none of another copy of gRPC. */
export { v1 } from '@google-cloud/pubsub';
export { credentials } from '@grpc/grpc-js';
