export { api, buildAddress, headersOf, send } from './client';
export type { Answer, PlainRequest, Request } from './client';
export {
  LosslessNumber,
  asObject,
  isLosslessNumber,
  parseJson,
  parseNumber,
  parseVerbatim,
  writeJson,
} from './json';
export type { Json, JsonObject } from './json';
export { Problem, retryPassing } from './problem';
export type { FieldProblem } from './problem';
export type * from './schema';
