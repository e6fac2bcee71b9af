import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { useState } from 'react';
import { makeQueryClient } from './queries';
import { makeRouter } from './router';

function make() {
  const client = makeQueryClient(() => {
    const { location } = router.state;
    if (location.pathname === '/sign-in') return;
    client.removeQueries({ queryKey: ['myself'] });
    void router.navigate({ to: '/sign-in', search: { return: location.href }, replace: true });
  });
  const router = makeRouter(client);
  return { client, router };
}

export function App() {
  const [{ client, router }] = useState(make);
  return (
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  );
}
