/** Places graphs beside the page, which stays quick meanwhile. */

import type { Drawing } from './drawing';
import { placeNodes } from './place';

self.onmessage = (event: MessageEvent<Drawing>): void => {
  self.postMessage(placeNodes(event.data));
};
