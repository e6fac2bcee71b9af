import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { LogIn } from 'lucide-react';
import { type ReactNode, type FormEvent, useEffect, useState } from 'react';
import { Problem } from '@/api';
import { ROOT, addressOf } from '@/app/base';
import { useTitle } from '@/app/title';
import { setToken } from '@/auth/credential';
import { isSignedOut, myselfQuery, waysQuery } from '@/auth/myself';
import { CopyLine } from '@/components/CopyLine';
import { Button } from '@/components/ui/button';
import { Checkbox } from '@/components/ui/checkbox';
import { Input } from '@/components/ui/input';
import { Label } from '@/components/ui/label';
import { strings } from '@/strings/signIn';
import { readReturn } from './return';

export default function SignInPage(): ReactNode {
  useTitle(strings.title);
  const search = useSearch({ from: '/sign-in' });
  const navigate = useNavigate();
  const client = useQueryClient();
  const { data: ways } = useQuery(waysQuery);
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  const target = readReturn(search.return);

  // Whoever a cookie or a proxy already names has nothing to do here.
  useEffect(() => {
    let isShown = true;
    client.fetchQuery(myselfQuery).then(
      () => {
        if (isShown) void navigate({ to: target, replace: true });
      },
      () => undefined,
    );
    return () => {
      isShown = false;
    };
  }, [client, navigate, target]);

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const given = form.get('token');
    const token = typeof given === 'string' ? given.trim() : '';
    if (!/^[\x21-\x7e]{1,16384}$/.test(token)) {
      setError(strings.malformed);
      return;
    }
    setBusy(true);
    setError('');
    setToken(token, form.get('keep') === 'on');
    try {
      client.removeQueries({ queryKey: myselfQuery.queryKey });
      await client.fetchQuery(myselfQuery);
      await navigate({ to: target, replace: true });
    } catch (refusal) {
      setToken(null);
      setError(
        isSignedOut(refusal)
          ? strings.refused
          : refusal instanceof Problem
            ? refusal.message
            : String(refusal),
      );
    } finally {
      setBusy(false);
    }
  };

  return (
    <main className="grid min-h-dvh grid-cols-[minmax(0,24rem)] content-center justify-center px-4 py-10">
      <div>
        <img src={`${ROOT}icon.svg`} alt="" className="mx-auto size-10" />
        <h1 className="mt-4 text-center text-xl font-semibold tracking-tight">{strings.title}</h1>
        <p className="text-muted-foreground mt-1.5 text-center text-[13px]">{strings.lead}</p>
        <div className="bg-card mt-6 rounded-xl border p-5 shadow-xs">
          {ways?.login === true && (
            <>
              <Button asChild size="lg" className="w-full">
                <a
                  href={`${addressOf('auth/login')}?return=${encodeURIComponent(ROOT + target.replace(/^\//, ''))}`}
                >
                  <LogIn aria-hidden />
                  {strings.login}
                </a>
              </Button>
              <div className="text-muted-foreground my-4 flex items-center gap-3 text-xs">
                <span className="h-px flex-1 border-t" />
                {strings.or}
                <span className="h-px flex-1 border-t" />
              </div>
            </>
          )}
          {ways?.proxy === true && <p className="mb-4 text-[13px] leading-5">{strings.proxyOnly}</p>}
          <form onSubmit={(event) => void submit(event)} noValidate>
            <Label htmlFor="token">{strings.token}</Label>
            <Input
              id="token"
              name="token"
              type="password"
              autoComplete="off"
              spellCheck={false}
              autoFocus
              aria-invalid={error !== ''}
              aria-describedby="token-hint token-error"
              className="mt-1.5 h-9 font-mono"
            />
            <p id="token-error" role="alert" className="text-destructive mt-1.5 text-[13px] empty:hidden">
              {error}
            </p>
            <label className="mt-3 flex items-center gap-2 text-[13px]">
              <Checkbox name="keep" defaultChecked />
              {strings.keep}
            </label>
            <Button
              type="submit"
              size="lg"
              variant={ways?.login === true ? 'outline' : 'default'}
              isBusy={isBusy}
              className="mt-4 w-full"
            >
              {strings.signIn}
            </Button>
            <p id="token-hint" className="text-muted-foreground mt-4 text-xs leading-4.5">
              {strings.tokenHint}
            </p>
          </form>
          <CopyLine text={strings.tokenCommand} className="mt-2" />
        </div>
      </div>
    </main>
  );
}
