import { Fragment } from 'react';
import { Dialog } from '@/components/ui/dialog';
import { Kbd } from '@/components/ui/kbd';
import { strings } from '@/strings/app';

const KEYS: readonly [keys: readonly string[], what: string][] = [
  [['?'], strings.shortcuts.help],
  [['/'], strings.shortcuts.search],
  [['g', 'i'], strings.shortcuts.inbox],
  [['g', 's'], strings.shortcuts.sessions],
  [['g', 'w'], strings.shortcuts.workflows],
  [['g', ','], strings.shortcuts.settings],
  [['g', 'n'], strings.shortcuts.namespace],
  [['j'], strings.shortcuts.next],
  [['k'], strings.shortcuts.previous],
  [['Enter'], strings.shortcuts.open],
  [['x'], strings.shortcuts.select],
  [['1 – 9'], strings.shortcuts.answer],
  [['Esc'], strings.shortcuts.dismiss],
];

export function KeyboardHelp({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return (
    <Dialog isOpen={isOpen} onClose={onClose} title={strings.keyboardTitle}>
      <dl className="grid grid-cols-[auto_1fr] items-center gap-x-6 gap-y-2 text-[13px]">
        {KEYS.map(([keys, what]) => (
          <Fragment key={what}>
            <dt className="flex items-center gap-1.5">
              {keys.map((key, place) => (
                <Fragment key={key}>
                  {place > 0 && <span className="text-muted-foreground text-xs">{strings.then}</span>}
                  <Kbd>{key}</Kbd>
                </Fragment>
              ))}
            </dt>
            <dd>{what}</dd>
          </Fragment>
        ))}
      </dl>
    </Dialog>
  );
}
