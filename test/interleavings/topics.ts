/**
 * world.Subscriptions over the local Pub/Sub's own state machine: leases run out, late and lost
 * acknowledgements have the message delivered again, and nothing is promised about order.
 */
import type { Subscriptions, TakenMessage } from '../../functions/world.ts';
import { MemoryMessages } from '../../local/pubsub/messages.ts';
import { PubsubState } from '../../local/pubsub/state.ts';
import type { Process, Simulation } from './simulation.ts';

export interface Published {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string;
}

export class Topics {
  readonly state: PubsubState;
  /** Most messages that one pull brings, whatever it asks for. */
  most = 1_000;
  /** Told of every acknowledgement that counts, before it does: ids of its messages. */
  acknowledged: (ids: readonly string[]) => void = () => undefined;
  /** Deliveries so far. */
  delivered = 0;
  readonly #simulation: Simulation;
  readonly #project: string;

  constructor(simulation: Simulation, project: string) {
    this.#simulation = simulation;
    this.#project = project;
    this.state = new PubsubState({
      clock: { now: () => Math.floor(simulation.now) },
      messages: new MemoryMessages(),
    });
  }

  /** A topic with one pull subscription. */
  declare(topic: string, subscription: string, ackDeadlineSeconds: number): void {
    const name = this.topic(topic);
    this.state.declareTopic({ name });
    this.state.declareSubscription({
      name: this.#subscription(subscription),
      topic: name,
      ackDeadlineSeconds,
    });
  }

  publish(topic: string, messages: readonly Published[]): readonly string[] {
    return this.state.publish(this.topic(topic), messages);
  }

  topic(name: string): string {
    return `projects/${this.#project}/topics/${name}`;
  }

  unacknowledged(subscription: string): number {
    this.state.advance();
    return this.state.backlog(this.#subscription(subscription)).unacknowledged;
  }

  client(process: Process): Subscriptions {
    const simulation = this.#simulation;
    return {
      take: async (subscription, most) => {
        const taken = await simulation.call(process, 'pubsub', 'take', subscription, () =>
          this.#take(subscription, most),
        );
        // The real service keeps the line for a while when there is nothing.
        if (taken.length === 0) await simulation.sleep(process, 2_000);
        return taken;
      },
      acknowledge: (subscription, ackIds) => {
        const acknowledge = (): void => this.#acknowledge(subscription, ackIds);
        const what = `${subscription} ${ackIds.length}`;
        return simulation.call(process, 'pubsub', 'acknowledge', what, acknowledge, acknowledge);
      },
    };
  }

  #take(subscription: string, most: number): readonly TakenMessage[] {
    this.state.advance();
    const name = this.#subscription(subscription);
    const received = this.state.pull(name, Math.min(most, this.most));
    this.delivered += received.length;
    return received.map(({ ackId, message }) => ({
      ackId,
      id: message.messageId,
      data: Buffer.from(message.data),
      attributes: message.attributes,
      publishedAt: message.publishTime,
      orderingKey: message.orderingKey,
    }));
  }

  #acknowledge(subscription: string, ackIds: readonly string[]): void {
    this.state.advance();
    // An ack id names subscription, epoch, message and delivery.
    this.acknowledged(ackIds.map((ackId) => ackId.split('-')[2] ?? ''));
    this.state.acknowledge(this.#subscription(subscription), ackIds);
  }

  #subscription(name: string): string {
    return `projects/${this.#project}/subscriptions/${name}`;
  }
}
