/** Pub/Sub's client with the gRPC that belongs to it: it takes no credentials of another copy. */
export { protos, v1 } from '@google-cloud/pubsub';
export { credentials, Metadata } from '@grpc/grpc-js';
