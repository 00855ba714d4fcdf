/** Secret Manager by REST. Values are read when needed, so that a new version counts at once. */
import { Permanent } from '../errors.ts';
import type { Secrets } from '../world.ts';
import { googleRest, type Rest } from './google_rest.ts';

export function managedSecrets(options: {
  readonly project: string;
  /** Default: the public endpoint. */
  readonly endpoint?: string;
  readonly rest?: Rest;
}): Secrets {
  const { project, endpoint = 'https://secretmanager.googleapis.com', rest = googleRest } = options;
  return {
    read: async (name) => {
      const answer = (await rest({
        method: 'GET',
        url: `${endpoint}/v1/projects/${project}/secrets/${name}/versions/latest:access`,
      })) as { payload?: { data?: string } };
      const data = answer.payload?.data;
      if (data === undefined || data === '') {
        throw new Permanent({
          code: 'secret_empty',
          message: `the secret ${name} has no value; add a version to it`,
        });
      }
      // A value pasted into a terminal often ends in a newline, which no HTTP header may carry.
      return Buffer.from(data, 'base64').toString('utf8').trim();
    },
  };
}
