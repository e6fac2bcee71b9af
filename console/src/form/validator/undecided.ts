/** Thrown where the page cannot judge in bounded time, or not as the server does: then the server alone decides. */
export class Undecided extends Error {
  override readonly name = 'Undecided';
}
