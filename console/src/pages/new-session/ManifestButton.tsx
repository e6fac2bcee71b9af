/** The session that the form makes, as `kubectl` takes it. */
import { FileCode } from 'lucide-react';
import { useState } from 'react';

import { makePart } from '@/components/Part';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Skeleton } from '@/components/ui/skeleton';
import type { Manifest } from '@/form/manifest';
import { newSessionStrings as strings } from '@/strings/newSession';

const ManifestText = makePart(async () => (await import('./ManifestText')).ManifestText, {
  waiting: () => <Skeleton className="h-40" />,
});

export function ManifestButton({ manifest }: { manifest: Manifest }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button variant="outline" onClick={() => setOpen(true)}>
        <FileCode aria-hidden />
        {strings.yaml}
      </Button>
      <Dialog
        isOpen={isOpen}
        onClose={() => setOpen(false)}
        title={strings.yamlTitle}
        description={strings.yamlHint}
        className="w-[min(44rem,calc(100vw-2rem))]"
      >
        {isOpen && <ManifestText manifest={manifest} />}
      </Dialog>
    </>
  );
}
