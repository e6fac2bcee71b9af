import { expect, it } from 'vitest';
import { type JsonObject, parseVerbatim } from '@/api';
import { writeYaml } from './Resource';

it('YAML has all digits of numbers, and texts that look like numbers are quoted', () => {
  const value = parseVerbatim(
    '{"a": 1234567890123456789, "b": 1e400, "c": "123", "d": [1.0, 2]}',
  ) as JsonObject;
  expect(writeYaml(value)).toBe('a: 1234567890123456789\nb: 1e400\nc: "123"\nd:\n  - 1.0\n  - 2\n');
});
