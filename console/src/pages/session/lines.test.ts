import { describe, expect, it } from 'vitest';
import { Lines } from './lines';

describe('lines of a stream', () => {
  it('are whole whatever pieces they come in', () => {
    const lines = new Lines();
    for (const piece of ['a', 'b\nc', '\r\n', '\nlast']) lines.take(piece);
    lines.finish();
    expect(lines.items.map(({ text }) => text)).toEqual(['ab', 'c', '', 'last']);
  });

  it('are bounded, and it is known how many are gone', () => {
    const lines = new Lines(10);
    for (let line = 0; line < 5000; line += 1) lines.take(`${String(line)}\n`);
    expect(lines.items.length).toBeLessThanOrEqual(1010);
    expect(lines.items.length + lines.dropped).toBe(5000);
    expect(lines.items.at(-1)?.text).toBe('4999');
  });
});
