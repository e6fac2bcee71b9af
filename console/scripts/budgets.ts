/**
 * Fails where what a page loads is larger than its budget, or where something is built that must not ship.
 *
 * A page loads its own chunks and all that these import statically; sizes are gzipped, scripts and styles. Each
 * budget below "shell" is for what the page adds to the shell.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

interface Chunk {
  file: string;
  src?: string;
  imports?: string[];
  css?: string[];
}

/** Kilobytes (1,000 bytes) of each page beyond the shell, by the sources that its route loads. */
const BUDGETS: { name: string; sources: string[]; kilobytes: number; withShell: boolean }[] = [
  {
    name: 'shell and session list',
    sources: ['index.html', 'src/pages/sessions/index.tsx'],
    kilobytes: 200,
    withShell: true,
  },
  { name: 'form', sources: ['src/pages/new-session/index.tsx'], kilobytes: 125, withShell: false },
  { name: 'graph', sources: ['src/live/graph/GraphView.tsx'], kilobytes: 75, withShell: false },
  { name: 'chat', sources: ['src/pages/chat/index.tsx'], kilobytes: 60, withShell: false },
];

const dist = join(import.meta.dirname, '..', 'dist');
const manifest = JSON.parse(readFileSync(join(dist, 'manifest.json'), 'utf8')) as Record<string, Chunk>;

function loadedBy(sources: string[]): Set<string> {
  const files = new Set<string>();
  const seen = new Set<string>();
  const visit = (key: string): void => {
    const chunk = manifest[key];
    if (chunk === undefined || seen.has(key)) return;
    seen.add(key);
    files.add(chunk.file);
    chunk.css?.forEach((file) => files.add(file));
    chunk.imports?.forEach(visit);
  };
  sources.forEach(visit);
  return files;
}

const sizeOf = (file: string): number => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;

const shell = loadedBy(BUDGETS[0]?.sources ?? []);
let failed = false;
for (const { name, sources, kilobytes, withShell } of BUDGETS) {
  const missing = sources.filter((source) => manifest[source] === undefined);
  if (missing.length > 0) {
    console.log(`${name.padEnd(24)}      - of ${String(kilobytes)} kB  (not built: ${missing.join(', ')})`);
    continue;
  }
  const files = [...loadedBy(sources)].filter((file) => withShell || !shell.has(file));
  const size = files.reduce((sum, file) => sum + sizeOf(file), 0) / 1000;
  const verdict = size <= kilobytes ? '' : '  TOO LARGE';
  failed ||= size > kilobytes;
  console.log(`${name.padEnd(24)} ${size.toFixed(1).padStart(6)} of ${String(kilobytes)} kB${verdict}`);
}

const REGISTRY = /\/\/registry\.|npmjs|sourceMappingURL/;
for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
  const isForbidden =
    name.endsWith('.map') ||
    (/\.(js|css|html|json)$/.test(name) && REGISTRY.test(readFileSync(join(dist, name), 'utf8')));
  if (isForbidden) {
    failed = true;
    console.log(`dist/${name}: a source map, or a registry's address`);
  }
}
if (!existsSync(join(dist, 'index.html'))) failed = true;
process.exitCode = failed ? 1 : 0;
