/**
 * An image from bytes, drawn into a canvas: the page's policy allows no image from `data:` or `blob:`, and needs not to.
 */

import { useEffect, useRef, useState } from 'react';
import { showLine } from '@/lib/text';
import { strings } from '@/strings/session';
import type { Image } from './result-shapes';

function decode({ type, base64 }: Image): Blob {
  const text = atob(base64.replace(/\s/g, ''));
  return new Blob([Uint8Array.from(text, (character) => character.charCodeAt(0))], { type });
}

export function CanvasImage({ image, label }: { image: Image; label?: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [isBad, setBad] = useState(false);
  useEffect(() => {
    let isGone = false;
    const draw = async (): Promise<void> => {
      const bitmap = await createImageBitmap(decode(image));
      const element = canvas.current;
      if (!isGone && element !== null) {
        element.width = bitmap.width;
        element.height = bitmap.height;
        element.getContext('2d')?.drawImage(bitmap, 0, 0);
      }
      bitmap.close();
    };
    draw().catch(() => {
      if (!isGone) setBad(true);
    });
    return () => {
      isGone = true;
    };
  }, [image]);
  const name = label === undefined ? strings.result.image : showLine(label);
  if (isBad) return <p className="text-muted-foreground text-xs">{strings.result.badImage}</p>;
  return (
    <figure>
      <canvas
        ref={canvas}
        role="img"
        aria-label={name}
        className="max-h-96 max-w-full rounded border object-contain"
      />
      {label !== undefined && (
        <figcaption className="text-muted-foreground mt-1 font-mono text-xs">{name}</figcaption>
      )}
    </figure>
  );
}
