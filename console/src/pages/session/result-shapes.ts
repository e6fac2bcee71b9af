/** What a result looks like: a table, an image, or neither. Pure. */

import { type Json, type JsonObject, asObject } from '@/api';

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly JsonObject[];
}

const MOST_COLUMNS = 40;

/** Returns an array of objects as a table, null for anything else, and where its rows have little in common. */
export function readTable(value: Json): Table | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const rows: JsonObject[] = [];
  const counts = new Map<string, number>();
  for (const each of value) {
    const row = asObject(each);
    if (row === null) return null;
    rows.push(row);
    for (const key of Object.keys(row)) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  if (counts.size === 0 || counts.size > MOST_COLUMNS) return null;
  return { columns: [...counts.keys()], rows };
}

/** An image in the result's own bytes. */
export interface Image {
  readonly type: string;
  readonly base64: string;
}

const DATA = /^data:(image\/(?:png|jpeg|gif|webp|bmp|avif));base64,([A-Za-z0-9+/=\s]+)$/;
const TYPES = /^image\/(?:png|jpeg|gif|webp|bmp|avif)$/;
/** Base64 of that many characters is drawn; a picture of more is downloaded. */
const LARGEST = 12_000_000;

/**
 * Returns the image that a value is: a data address, or LangChain's blocks of content with base64. SVG is none: it is a
 * program.
 */
export function findImage(value: Json): Image | null {
  if (typeof value === 'string') {
    if (!value.startsWith('data:image/') || value.length > LARGEST) return null;
    const [, type, base64] = DATA.exec(value) ?? [];
    return type === undefined || base64 === undefined ? null : { type, base64 };
  }
  const object = asObject(value);
  if (object === null) return null;
  const type = object['mime_type'] ?? object['mimeType'] ?? object['media_type'];
  const base64 = object['base64'] ?? object['data'];
  if (typeof type !== 'string' || typeof base64 !== 'string') return null;
  return TYPES.test(type) && base64.length <= LARGEST ? { type, base64 } : null;
}
