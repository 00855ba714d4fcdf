/** What a synthesised stack gives its functions as variables, references as they stand there. */
import { existsSync, readFileSync } from 'node:fs';
import { inRoot } from './place.ts';

interface StackFile {
  readonly resource: {
    readonly google_cloudfunctions2_function?: Readonly<
      Record<
        string,
        {
          readonly service_config: {
            readonly environment_variables?: Readonly<Record<string, string>>;
          };
        }
      >
    >;
  };
}

/** Null when the environment's stack has not been synthesised. */
export async function functionVariables(
  environment: string,
): Promise<Readonly<Record<string, string>> | null> {
  const file = inRoot('cdktf.out/stacks', environment, 'cdk.tf.json');
  if (!existsSync(file)) return null;
  const stack = JSON.parse(readFileSync(file, 'utf8')) as StackFile;
  const declared = Object.values(stack.resource.google_cloudfunctions2_function ?? {});
  return Object.assign(
    {},
    ...declared.map((each) => each.service_config.environment_variables ?? {}),
  );
}
