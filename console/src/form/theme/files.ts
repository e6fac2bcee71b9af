/** Files as values of a schema: as text, or in base64 where `contentEncoding` says so. */

export type Encoding = 'text' | 'base64' | 'base64url';

/** Returns how a schema wants a file; text where it names no encoding. */
export function readEncoding(encoding: unknown): Encoding {
  return encoding === 'base64' || encoding === 'base64url' ? encoding : 'text';
}

/** Returns the bytes of JSON that a file becomes at least. */
export function estimateBytes(size: number, encoding: Encoding): number {
  return encoding === 'text' ? size : Math.ceil(size / 3) * 4;
}

/** Returns a file's value; raises `TypeError` for one that is no text where text is wanted. */
export async function readFile(file: Blob, encoding: Encoding): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (encoding === 'text') return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  let binary = '';
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  const text = btoa(binary);
  return encoding === 'base64' ? text : text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
