/** Where the project's own folders lie, whatever folder a command is started from. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Programs and packages: may be deleted at any time, costs a download. */
export const toolsFolder = join(root, '.tools');

/** State of the local cloud unless a command names another folder. */
export const localFolder = join(root, '.local');

export const inRoot = (...parts: readonly string[]): string => join(root, ...parts);
