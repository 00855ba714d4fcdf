/** Publishing to Pub/Sub by REST: the gRPC client would cost a function its quick start. */
import type { OutgoingMessage, Queue } from '../world.ts';
import { googleRest, type Rest } from './google_rest.ts';

/** A lost answer is tried again, so a message may be published twice; readers bear duplicates. */
export function pubsubQueue(options: {
  readonly project: string;
  /** Default: the public endpoint. */
  readonly endpoint?: string;
  readonly rest?: Rest;
}): Queue {
  const { project, endpoint = 'https://pubsub.googleapis.com', rest = googleRest } = options;
  const publishAll = async (topic: string, messages: readonly OutgoingMessage[]): Promise<void> => {
    await rest({
      method: 'POST',
      url: `${endpoint}/v1/projects/${project}/topics/${topic}:publish`,
      body: {
        messages: messages.map(({ data, attributes = {} }) => ({
          data: data.toString('base64'),
          attributes,
        })),
      },
    });
  };
  return { publish: (topic, message) => publishAll(topic, [message]), publishAll };
}
