/** A session as YAML, and the command that takes it. Fetched with what writes it when it is asked for. */

import { CopyButton, CopyLine } from '@/components/CopyLine';
import { type Manifest, writeManifest } from '@/form/manifest';
import { newSessionStrings as strings } from '@/strings/newSession';

export function ManifestText({ manifest }: { manifest: Manifest }) {
  const text = writeManifest(manifest);
  return (
    <div className="space-y-3">
      <CopyLine text={`kubectl ${manifest.name === '' ? 'create' : 'apply'} -f session.yaml`} />
      <div className="relative">
        <pre
          dir="ltr"
          tabIndex={0}
          data-testid="manifest"
          className="bg-muted max-h-[50dvh] overflow-auto rounded-md border p-3 pr-10 font-mono text-xs"
        >
          {text}
        </pre>
        <div className="absolute top-1 right-1">
          <CopyButton text={text} label={strings.yaml} />
        </div>
      </div>
    </div>
  );
}
