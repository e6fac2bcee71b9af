/** Puts the pieces of a text that is streamed together into lines, and keeps the last ones. Pure but for its own state. */

export class Lines {
  /** Rises with each change. */
  version = 0;
  dropped = 0;
  readonly items: { readonly key: string; readonly text: string }[] = [];
  private rest = '';
  private count = 0;
  private readonly most: number;

  constructor(most = 20_000) {
    this.most = most;
  }

  /** Takes a piece; a line that is not over yet waits for the next one. */
  take(piece: string): void {
    const parts = (this.rest + piece).split('\n');
    this.rest = parts.pop() ?? '';
    for (const text of parts) this.add(text);
    // A line without an end must not grow for ever.
    if (this.rest.length > 100_000) {
      this.add(this.rest);
      this.rest = '';
    }
    this.version += 1;
  }

  /** Takes what is left at the end. */
  finish(): void {
    if (this.rest !== '') this.add(this.rest);
    this.rest = '';
    this.version += 1;
  }

  private add(text: string): void {
    this.count += 1;
    this.items.push({ key: String(this.count), text: text.endsWith('\r') ? text.slice(0, -1) : text });
    if (this.items.length > this.most + 1000) {
      this.items.splice(0, 1000);
      this.dropped += 1000;
    }
  }
}
