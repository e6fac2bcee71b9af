import { expect, it } from 'vitest';
import { parseVerbatim } from '@/api';
import { digestQuestion, spell } from './digest';

it('spells a value in one way only', () => {
  const value = parseVerbatim(
    '{"b": 1.50, "a": [1e3, 12345678901234567890, 1.0, -0.0], "é": "\\u0001\\"/", "𝒳": null}',
  );
  expect(spell(value)).toBe('{"a":[1000,12345678901234567890,1,0],"b":1.5,"é":"\\u0001\\"/","𝒳":null}');
});

it('gives the digest that the operator gives', async () => {
  // `agentic_core.digests.digest_question("Publish?", {"amount": 12345678901234567890, "rate": 0.10}, [...], None)`
  const digest = await digestQuestion({
    prompt: 'Publish?',
    value: parseVerbatim('{"rate": 0.10, "amount": 12345678901234567890}'),
    options: [{ label: 'Yes', value: true }],
    schema: null,
  });
  expect(digest).toBe('36f2246d08335b1b5db3feaab528e13d73f04c1ce8413a98bf3bd51bd9152009');
});
