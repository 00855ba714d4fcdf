/** Publishing to Pub/Sub by REST: the gRPC client would cost a function its quick start. */
import type { Queue } from '../world.ts';
import { googleRest, type Rest } from './google_rest.ts';

/** A lost answer is tried again, so a message may be published twice; readers bear duplicates. */
export function pubsubQueue(options: {
  readonly project: string;
  /** Default: the public endpoint. */
  readonly endpoint?: string;
  readonly rest?: Rest;
}): Queue {
  const { project, endpoint = 'https://pubsub.googleapis.com', rest = googleRest } = options;
  return {
    publish: async (topic, { data, attributes = {} }) => {
      await rest({
        method: 'POST',
        url: `${endpoint}/v1/projects/${project}/topics/${topic}:publish`,
        body: { messages: [{ data: data.toString('base64'), attributes }] },
      });
    },
  };
}
