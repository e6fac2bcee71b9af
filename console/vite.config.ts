import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Where `npm run dev` finds a gateway. */
const GATEWAY = process.env['GATEWAY'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Every address is relative, so that one build serves at any path; see `src/app/base.ts`.
  base: './',
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: {
      '@': fileURLToPath(new URL('./src', import.meta.url)),
      // Titles and descriptions of forms are text: no Markdown of a library's own.
      'markdown-to-jsx/react': fileURLToPath(new URL('./src/form/theme/plain-text.tsx', import.meta.url)),
      // The form library imports its other validator for its own tests.
      '@rjsf/validator-ajv8': fileURLToPath(new URL('./src/form/theme/no-validator.ts', import.meta.url)),
    },
  },
  build: {
    target: 'es2023',
    // `scripts/budgets.ts` reads which file loads which.
    manifest: 'manifest.json',
    sourcemap: false,
    // Nothing becomes a data: address, which the page's policy refuses.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
  server: {
    // The corpus of verdicts that the server's tests share.
    fs: { allow: ['.', '../tests/corpus'] },
    proxy: { '/api': GATEWAY, '/auth': GATEWAY, '/ws': { target: GATEWAY, ws: true } },
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/test-setup.ts'],
    maxWorkers: 2,
    // How long one takes says how busy the machine is.
    testTimeout: 60_000,
  },
});
