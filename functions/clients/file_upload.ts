/** A file of this machine into a bucket, as it streams: for the command line. */
import { isPlain } from './google_rest.ts';

/** Above this an upload goes in pieces that can be sent again (gcp.md: one request up to 8 MB). */
const ONE_REQUEST_BYTES = 8 << 20;

export interface FileUpload {
  readonly project: string;
  /** Default: the public endpoint. */
  readonly endpoint?: string;
  readonly bucket: string;
  /** Name of the object. */
  readonly name: string;
  /** Path on this machine. */
  readonly file: string;
  readonly bytes: number;
  /** Called with the bytes sent so far. */
  readonly sent?: (bytes: number) => void;
}

/**
 * Creates the object, whole or not at all; Storage compares checksums.
 * @returns its generation; null when an object of the name is there already
 */
export async function uploadFile(of: FileUpload): Promise<string | null> {
  const { Storage } = await import('./storage_sdk.ts');
  const { project: projectId, endpoint } = of;
  const storage = new Storage({
    projectId,
    ...(endpoint === undefined
      ? {}
      : { apiEndpoint: endpoint, useAuthWithCustomEndpoint: !isPlain(endpoint) }),
  });
  try {
    const [object] = await storage.bucket(of.bucket).upload(of.file, {
      destination: of.name,
      resumable: of.bytes > ONE_REQUEST_BYTES,
      validation: 'crc32c',
      preconditionOpts: { ifGenerationMatch: 0 },
      metadata: { contentType: 'application/octet-stream' },
      onUploadProgress: (progress: { readonly bytesWritten: number }) =>
        of.sent?.(progress.bytesWritten),
    });
    return String(object.metadata.generation);
  } catch (error) {
    if (Number((error as { readonly code?: unknown }).code) === 412) return null;
    throw error;
  }
}
