/** The session that the form makes, as `kubectl` takes it. */
import { FileCode } from 'lucide-react';
import { useState } from 'react';

import { CopyButton, CopyLine } from '@/components/CopyLine';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import type { Manifest } from '@/form/manifest';
import { newSessionStrings as strings } from '@/strings/newSession';

export function ManifestButton({ manifest }: { manifest: Manifest }) {
  const [text, setText] = useState<string | null>(null);
  const show = async () => {
    const { writeManifest } = await import('@/form/manifest');
    setText(writeManifest(manifest));
  };
  return (
    <>
      <Button variant="outline" onClick={() => void show()}>
        <FileCode aria-hidden />
        {strings.yaml}
      </Button>
      <Dialog
        isOpen={text !== null}
        onClose={() => setText(null)}
        title={strings.yamlTitle}
        description={strings.yamlHint}
        className="w-[min(44rem,calc(100vw-2rem))]"
      >
        <div className="space-y-3">
          <CopyLine text={`kubectl ${manifest.name === '' ? 'create' : 'apply'} -f session.yaml`} />
          <div className="relative">
            <pre
              dir="ltr"
              tabIndex={0}
              data-testid="manifest"
              className="bg-muted max-h-[50dvh] overflow-auto rounded-md border p-3 pr-10 font-mono text-xs"
            >
              {text ?? ''}
            </pre>
            <div className="absolute top-1 right-1">
              <CopyButton text={text ?? ''} label={strings.yaml} />
            </div>
          </div>
        </div>
      </Dialog>
    </>
  );
}
